//! How long processes have run, to the nanosecond: the kernel's per-process CPU clocks (clock_getcpuclockid(3)), which count
//! user and system time of all threads and are not rounded to ticks as /proc/PID/stat is.

use nix::{
    sys::time::TimeSpec,
    time::{ClockId, clock_gettime},
    unistd::Pid,
};

/// Nanoseconds that these processes have run, together.
pub fn run_time_ns(pids: &[i32]) -> Result<u64, String> {
    pids.iter().try_fold(0, |sum, &pid| {
        let gone = |error| format!("--cpu-of: process {pid}: {error}; has the proxy ended?");
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid)).map_err(gone)?;
        Ok(sum + nanoseconds(clock_gettime(clock).map_err(gone)?))
    })
}

/// Nanoseconds that this process has run.
pub fn own_run_time_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(0, nanoseconds)
}

fn nanoseconds(time: TimeSpec) -> u64 {
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}
