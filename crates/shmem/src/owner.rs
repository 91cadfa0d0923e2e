//! Who a process is, in a way that a reused pid cannot imitate.
//! The lease stores it and names it when it refuses; it survives its process, which is the point.

use std::fmt;

use crate::sys;

/// A process: its pid, when it started, and under which boot of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Its pid; 0 if unknown.
    pub pid: u32,
    /// When it started, in the system's clock ticks since boot; 0 if unknown.
    pub start_time: u64,
    /// The boot of the system that it ran under.
    pub boot_id: u128,
    /// The pid namespace that it ran in, where its pid means it; 0 if unknown.
    pub namespace: u64,
}

impl Owner {
    /// This process.
    pub fn current() -> Owner {
        let pid = std::process::id();
        let start_time = sys::process_state(pid).map_or(0, |state| state.start_time);
        Owner { pid, start_time, boot_id: sys::boot_id(), namespace: sys::pid_namespace() }
    }

    /// Whether that process still runs. One that has ended but was not waited for does not. Of one in
    /// another pid namespace nothing can be told: it is taken to run.
    pub fn is_alive(&self) -> bool {
        self.pid != 0 && self.boot_id == sys::boot_id() && (self.is_elsewhere() || self.runs_here())
    }

    /// Whether it lives under pids that are not ours.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.namespace != 0 && self.namespace != sys::pid_namespace()
    }

    fn runs_here(&self) -> bool {
        sys::process_state(self.pid)
            .is_some_and(|state| !state.ended && state.start_time == self.start_time)
    }

    /// The boot id as it is stored: high half, low half.
    #[expect(clippy::cast_possible_truncation, reason = "takes the halves apart")]
    pub(crate) fn boot_words(&self) -> [u64; 2] {
        [(self.boot_id >> 64) as u64, self.boot_id as u64]
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pid == 0 {
            return f.write_str("an unknown process");
        }
        let ticks_per_second = sys::ticks_per_second().max(1);
        let (whole, rest) =
            (self.start_time / ticks_per_second, self.start_time % ticks_per_second);
        write!(
            f,
            "pid {} (started at {whole}.{:02} s after boot)",
            self.pid,
            rest * 100 / ticks_per_second
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Owner;

    #[test]
    fn this_process_is_alive_and_imitations_are_not() {
        let me = Owner::current();
        assert_eq!(me.pid, std::process::id());
        assert_ne!(me.start_time, 0);
        assert_ne!(me.boot_id, 0);
        assert!(me.is_alive());
        assert!(!Owner { start_time: me.start_time - 1, ..me }.is_alive());
        assert!(!Owner { boot_id: me.boot_id ^ 1, ..me }.is_alive());
        assert!(!Owner { pid: 0, ..me }.is_alive());
        assert!(!Owner { pid: u32::MAX, ..me }.is_alive());
        assert!(Owner { pid: u32::MAX, namespace: me.namespace ^ 1, ..me }.is_alive());
        assert!(me.to_string().starts_with(&format!("pid {} (started at ", me.pid)));
        assert_eq!(Owner { pid: 0, ..me }.to_string(), "an unknown process");
    }
}
