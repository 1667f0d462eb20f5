//! Threads pinned to cores, with real-time priority where the system allows it.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};

/// How firmly a thread holds its cores.
/// Ordered from firm to loose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// Nothing but the kernel's own work takes the core away.
    RealTime,
    /// Other programs may share the core.
    Shared,
}

/// Real-time priorities: above ordinary programs, and below everything else that also asks for real time. The thread
/// that hands out steps goes before those that run them: it needs microseconds, and they would make it wait for the
/// end of a step.
const LANE: u8 = 1;
const LEADER: u8 = 2;

/// The cores that the calling thread may use.
///
/// # Errors
/// The system does not tell.
pub fn available() -> Result<Vec<usize>, String> {
    let set = sched_getaffinity(None).map_err(|error| format!("the system does not tell its cores: {error}"))?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect())
}

/// Pins the calling thread, and all that it starts from now on, to `cores`.
pub(super) fn pin(cores: &[usize]) -> Result<Hold, String> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|&core| set.set(core));
    sched_setaffinity(None, &set).map_err(|error| format!("cannot run on cores {cores:?}: {error}"))?;
    Ok(raise(LANE))
}

/// Lets the calling thread go before those that run steps, where the system allows it.
pub(super) fn lead() -> Hold {
    raise(LEADER)
}

fn raise(priority: u8) -> Hold {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    let priority = ThreadPriority::Crossplatform(priority.try_into().expect("priorities go from 0 to 99"));
    match set_thread_priority_and_policy(thread_native_id(), priority, policy) {
        Ok(()) => Hold::RealTime,
        Err(_) => Hold::Shared,
    }
}
