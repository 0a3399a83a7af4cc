//! What came of a run, as it is printed.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

/// What came of a run. A run with any error is void.
#[derive(Serialize)]
pub struct Outcome {
    /// Calls answered during the measured time.
    pub calls: u64,
    pub seconds: f64,
    pub calls_per_s: f64,
    /// CPU that the watched processes spent per call; `None` when none were watched.
    pub cpu_us_per_call: Option<f64>,
    /// CPU that this process spent per call: beside an upstream on the same core, what it takes is not there for others.
    pub load_cpu_us_per_call: f64,
    pub latency_us: Latency,
    pub errors: Errors,
}

#[derive(Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl Latency {
    pub fn of(nanoseconds: &Histogram<u64>) -> Self {
        let at = |quantile| nanoseconds.value_at_quantile(quantile) as f64 / 1000.0;
        Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: nanoseconds.max() as f64 / 1000.0 }
    }
}

/// Everything that voids a run.
#[derive(Default, Serialize)]
pub struct Errors {
    pub total: u64,
    /// Answers that were not 2xx, by status, over the whole run.
    pub statuses: BTreeMap<u16, u64>,
    pub socket: u64,
    /// Calls that had no answer when the run was given up.
    pub unanswered: u64,
    /// The first of each, in words.
    pub examples: Vec<String>,
}

impl Errors {
    pub fn status(&mut self, status: u16, answer: impl FnOnce() -> String) {
        self.total += 1;
        let count = self.statuses.entry(status).or_default();
        *count += 1;
        if *count == 1 {
            self.examples.push(answer());
        }
    }

    pub fn broken(&mut self, why: String) {
        self.total += 1;
        self.socket += 1;
        if self.socket <= 3 {
            self.examples.push(why);
        }
    }

    pub fn unanswered(&mut self, calls: u64) {
        self.total += calls;
        self.unanswered += calls;
    }
}
