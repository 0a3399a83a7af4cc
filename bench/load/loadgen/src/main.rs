//! Plays HTTP/1.1 calls at one address over keep-alive connections and says, as one JSON object, how many were answered,
//! how long they took and how much CPU the processes under test spent on them.
//!
//! Promises: one thread, so it can be pinned beside an upstream; every call that is not answered with 2xx is counted, as is
//! every socket error, and the caller decides that one of them voids the run; a signed request is sent at most once; in the
//! open loop, time is counted from the moment a call was *meant* to be sent, so that a stall of the proxy is felt by every
//! call that it delayed (no coordinated omission); CPU is the kernel's exact run time of the processes, read at both ends
//! of the measured time.
//!
//! Leaves to others: starting and pinning proxies, comparing them, judging (`bench/load/*.py`).

mod connection;
mod cpu;
mod outcome;
mod pace;
mod play;
mod requests;
mod sign;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use crate::{
    pace::{Arrivals, Pace},
    play::Plan,
    requests::Requests,
};

const USAGE: &str = "\
loadgen --target IP:PORT --request FILE [options]

  --target IP:PORT       where the proxy listens
  --request FILE         the request, byte for byte as it is to be sent
  --keys FILE            sign each request (RFC 9421, hmac-sha256) with the `oct` keys of this JWK Set, in turn
  --signed-calls N       how many to sign beforehand; needing more is an error, as none is sent twice (default 200000)
  --connections N        (default 32)
  --warmup S             seconds that are played, not measured (default 1)
  --duration S           seconds that are measured (default 3)
  --rate N               open loop: calls per second, whatever the answers; without it, closed loop: a connection sends
                         its next call when it has the answer to the last
  --arrivals KIND        constant or poisson (default), in the open loop
  --cpu-of PID,PID       the processes whose CPU is accounted

Prints one JSON object; times are in microseconds.";

fn main() -> ExitCode {
    match run() {
        Ok(json) => {
            println!("{json}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("loadgen: {message}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<String, String> {
    let mut args = pico_args::Arguments::from_env();
    if args.contains(["-h", "--help"]) {
        return Ok(USAGE.to_owned());
    }
    let wrong = |error: pico_args::Error| format!("{error}\n\n{USAGE}");
    let target: SocketAddr = args.value_from_str("--target").map_err(wrong)?;
    let request: PathBuf = args.value_from_str("--request").map_err(wrong)?;
    let keys: Option<PathBuf> = args.opt_value_from_str("--keys").map_err(wrong)?;
    let signed_calls: usize = args.opt_value_from_str("--signed-calls").map_err(wrong)?.unwrap_or(200_000);
    let connections: usize = args.opt_value_from_str("--connections").map_err(wrong)?.unwrap_or(32);
    let warmup_s: f64 = args.opt_value_from_str("--warmup").map_err(wrong)?.unwrap_or(1.0);
    let duration_s: f64 = args.opt_value_from_str("--duration").map_err(wrong)?.unwrap_or(3.0);
    let rate: Option<f64> = args.opt_value_from_str("--rate").map_err(wrong)?;
    let arrivals: Arrivals = args.opt_value_from_str("--arrivals").map_err(wrong)?.unwrap_or(Arrivals::Poisson);
    let cpu_of: Option<String> = args.opt_value_from_str("--cpu-of").map_err(wrong)?;
    if let [unknown, ..] = args.finish().as_slice() {
        return Err(format!("unknown argument `{}`\n\n{USAGE}", unknown.to_string_lossy()));
    }

    let pids = cpu_of.iter().flat_map(|list| list.split(','));
    let pids = pids.map(|pid| pid.parse::<i32>().map_err(|_| format!("--cpu-of: `{pid}` is no process id")));
    let pace = match rate {
        Some(calls_per_s) if calls_per_s > 0.0 => Pace::Open { calls_per_s, arrivals },
        Some(calls_per_s) => return Err(format!("--rate: expected calls per second above 0, not {calls_per_s}")),
        None => Pace::Closed,
    };
    let plan = Plan {
        target,
        connections: connections.max(1),
        warmup: Duration::try_from_secs_f64(warmup_s).map_err(|error| format!("--warmup: {error}"))?,
        duration: Duration::try_from_secs_f64(duration_s).map_err(|error| format!("--duration: {error}"))?,
        pace,
        pids: pids.collect::<Result<_, _>>()?,
    };

    let template = std::fs::read(&request).map_err(|error| format!("--request {}: {error}", request.display()))?;
    let requests = match keys {
        None => Requests::same(template),
        Some(file) => {
            let jwks = std::fs::read(&file).map_err(|error| format!("--keys {}: {error}", file.display()))?;
            sign::signed_requests(&template, &jwks, signed_calls)?
        }
    };
    let outcome = play::play(&plan, requests)?;
    serde_json::to_string_pretty(&outcome).map_err(|error| error.to_string())
}
