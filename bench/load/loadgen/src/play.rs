//! The loop: one epoll, one thread, both paces.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    num::NonZeroU64,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rustix::{
    event::{Timespec, epoll},
    fd::OwnedFd,
};

use crate::{
    connection::{Broken, Connection},
    cpu,
    outcome::{Errors, Latency, Outcome},
    pace::{Pace, Schedule},
    requests::Requests,
};

/// How long answers may still come when no more calls are sent.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

pub struct Plan {
    pub target: SocketAddr,
    pub connections: usize,
    pub warmup: Duration,
    pub duration: Duration,
    pub pace: Pace,
    /// Processes whose CPU is accounted.
    pub pids: Vec<i32>,
}

/// Plays the requests as planned. An error is one of the set-up, or that the requests ran out; what goes wrong with calls is
/// in the outcome.
pub fn play(plan: &Plan, requests: Requests) -> Result<Outcome, String> {
    // Without it, the kernel may wake us 50 us after the intended time.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).map_err(|error| format!("timer slack: {error}"))?;
    let mut player = Player::new(plan, requests)?;
    player.run()?;
    player.outcome()
}

struct Player<'p> {
    plan: &'p Plan,
    requests: Requests,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    broken: Vec<bool>,
    started: Instant,
    /// Nanoseconds since `started`: the measured time is between the two.
    measure_from_ns: u64,
    measure_to_ns: u64,
    schedule: Option<Schedule>,
    /// Connections without a call, used in turn.
    idle: VecDeque<usize>,
    /// Intended times of calls that found no idle connection.
    waiting: VecDeque<u64>,
    calls: u64,
    in_flight: u64,
    latency_ns: Histogram<u64>,
    errors: Errors,
    at_start: Option<Reading>,
    at_end: Option<Reading>,
}

/// Clocks read together.
struct Reading {
    at_ns: u64,
    proxy_ns: u64,
    own_ns: u64,
}

impl<'p> Player<'p> {
    fn new(plan: &'p Plan, requests: Requests) -> Result<Self, String> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|error| format!("epoll: {error}"))?;
        let mut connections = Vec::with_capacity(plan.connections);
        for index in 0..plan.connections {
            let connection = Connection::open(plan.target)?;
            let interest = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
            epoll::add(&epoll, &connection.stream, epoll::EventData::new_u64(index as u64), interest)
                .map_err(|error| format!("epoll: {error}"))?;
            connections.push(connection);
        }
        let (warmup_ns, duration_ns) = (plan.warmup.as_nanos() as u64, plan.duration.as_nanos() as u64);
        Ok(Self {
            plan,
            requests,
            epoll,
            broken: vec![false; plan.connections],
            started: Instant::now(),
            measure_from_ns: warmup_ns,
            measure_to_ns: warmup_ns + duration_ns,
            schedule: match plan.pace {
                Pace::Closed => None,
                Pace::Open { calls_per_s, arrivals } => Some(Schedule::new(calls_per_s, arrivals)),
            },
            idle: (0..plan.connections).collect(),
            waiting: VecDeque::new(),
            calls: 0,
            in_flight: 0,
            latency_ns: Histogram::new_with_bounds(100, 60_000_000_000, 3).map_err(|error| error.to_string())?,
            errors: Errors::default(),
            at_start: None,
            at_end: None,
            connections,
        })
    }

    fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    fn run(&mut self) -> Result<(), String> {
        self.started = Instant::now();
        let give_up_ns = self.measure_to_ns + LAST_ANSWERS.as_nanos() as u64;
        let mut events = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; 128];
        loop {
            let now_ns = self.now_ns();
            if self.at_start.is_none() && now_ns >= self.measure_from_ns {
                self.at_start = Some(self.reading(now_ns)?);
            }
            if self.at_end.is_none() && now_ns >= self.measure_to_ns {
                self.at_end = Some(self.reading(now_ns)?);
            }
            if self.at_end.is_some() && self.in_flight == 0 && self.waiting.is_empty() {
                return Ok(());
            }
            if now_ns >= give_up_ns || self.broken.iter().all(|&broken| broken) {
                self.errors.unanswered(self.in_flight + self.waiting.len() as u64);
                return Ok(());
            }
            let wake_ns = self.send_due(now_ns)?.min(match (&self.at_start, &self.at_end) {
                (None, _) => self.measure_from_ns,
                (_, None) => self.measure_to_ns,
                _ => give_up_ns,
            });
            // In the closed loop this core must never be idle: waking it costs an interrupt (in a virtual machine, an exit to
            // the host), which the proxy's `write` would pay, the more often the slower the proxy. On a network it wakes nobody.
            let spins = self.schedule.is_none() && self.at_end.is_none();
            let timeout_ns = if spins { 0 } else { wake_ns.saturating_sub(now_ns) };
            let timeout = Timespec::try_from(Duration::from_nanos(timeout_ns)).map_err(|error| error.to_string())?;
            let ready = match epoll::wait(&self.epoll, &mut events, Some(&timeout)) {
                Ok(0) if spins => {
                    // To the upstream, if it is on this core and has something to do.
                    rustix::thread::sched_yield();
                    0
                }
                Ok(ready) => ready,
                Err(rustix::io::Errno::INTR) => 0,
                Err(error) => return Err(format!("epoll: {error}")),
            };
            for event in &events[..ready] {
                self.on_ready(event.data.u64() as usize)?;
            }
        }
    }

    /// Sends what is due by now, and says when the next call is.
    fn send_due(&mut self, now_ns: u64) -> Result<u64, String> {
        if self.schedule.is_none() {
            while now_ns < self.measure_to_ns
                && let Some(index) = self.idle.pop_front()
            {
                self.send(index, self.now_ns())?;
            }
            return Ok(u64::MAX);
        }
        while let Some(schedule) = &mut self.schedule {
            let due_ns = schedule.due_ns();
            if due_ns >= self.measure_to_ns {
                return Ok(u64::MAX);
            }
            if due_ns > now_ns {
                return Ok(due_ns);
            }
            schedule.advance();
            match self.idle.pop_front() {
                Some(index) => self.send(index, due_ns)?,
                None => self.waiting.push_back(due_ns),
            }
        }
        Ok(u64::MAX)
    }

    fn send(&mut self, index: usize, intended_ns: u64) -> Result<(), String> {
        let span = self.requests.take().ok_or("the signed requests ran out: sign more, as none may be sent twice")?;
        self.in_flight += 1;
        if let Err(broken) = self.connections[index].send(&self.requests, span, intended_ns) {
            self.on_broken(index, broken);
        }
        Ok(())
    }

    fn on_ready(&mut self, index: usize) -> Result<(), String> {
        if self.broken[index] {
            return Ok(());
        }
        let connection = &mut self.connections[index];
        match connection.write(&self.requests).and_then(|()| connection.read()) {
            Ok(None) => Ok(()),
            Ok(Some(status)) => self.on_answer(index, status),
            Err(broken) => {
                self.on_broken(index, broken);
                Ok(())
            }
        }
    }

    fn on_answer(&mut self, index: usize, status: u16) -> Result<(), String> {
        let now_ns = self.now_ns();
        let connection = &self.connections[index];
        self.in_flight -= 1;
        if !(200..300).contains(&status) {
            self.errors.status(status, || connection.excerpt());
        }
        if self.at_start.is_some() && self.at_end.is_none() {
            self.calls += 1;
        }
        let counts = match self.schedule {
            None => self.at_start.is_some() && self.at_end.is_none(),
            // By intended time: those still out at the end are the slow ones, and belong to the measured time.
            Some(_) => (self.measure_from_ns..self.measure_to_ns).contains(&connection.intended_ns),
        };
        if counts {
            self.latency_ns.saturating_record(now_ns.saturating_sub(connection.intended_ns));
        }
        match self.waiting.pop_front() {
            Some(intended_ns) => self.send(index, intended_ns),
            None if self.schedule.is_none() && now_ns < self.measure_to_ns => self.send(index, now_ns),
            None => {
                self.idle.push_back(index);
                Ok(())
            }
        }
    }

    fn on_broken(&mut self, index: usize, Broken(why): Broken) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.broken[index] = true;
        self.idle.retain(|&idle| idle != index);
        self.errors.broken(why);
    }

    fn reading(&self, at_ns: u64) -> Result<Reading, String> {
        Ok(Reading { at_ns, proxy_ns: cpu::run_time_ns(&self.plan.pids)?, own_ns: cpu::own_run_time_ns() })
    }

    fn outcome(self) -> Result<Outcome, String> {
        let (Some(start), Some(end)) = (self.at_start, self.at_end) else {
            return Err(format!("no connection was left to measure with: {:?}", self.errors.examples));
        };
        let seconds = (end.at_ns - start.at_ns) as f64 / 1e9;
        let us_per_call = |ns: u64| ns as f64 / 1000.0 / self.calls.max(1) as f64;
        Ok(Outcome {
            calls: self.calls,
            seconds,
            calls_per_s: self.calls as f64 / seconds,
            cpu_us_per_call: (!self.plan.pids.is_empty()).then(|| us_per_call(end.proxy_ns - start.proxy_ns)),
            load_cpu_us_per_call: us_per_call(end.own_ns - start.own_ns),
            latency_us: Latency::of(&self.latency_ns),
            errors: self.errors,
        })
    }
}
