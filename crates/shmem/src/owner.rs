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

/// What can be said of a process from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// It runs.
    Runs,
    /// It has ended: with its boot, or its number is nobody's or somebody else's.
    Gone,
    /// It lives in another pid namespace, or it cannot be told in which.
    Elsewhere,
    /// The system does not show it to us.
    Hidden,
}

impl Owner {
    /// This process.
    pub fn current() -> Owner {
        Owner {
            pid: std::process::id(),
            start_time: sys::own_start_time(),
            boot_id: sys::boot_id(),
            namespace: sys::pid_namespace(),
        }
    }

    /// Whether that process still runs. One that has ended but was not waited for does not. Of one in
    /// another pid namespace nothing can be told: it is taken to run.
    pub fn is_alive(&self) -> bool {
        self.sight() != Sight::Gone
    }

    /// What can be said of that process. All that it compares is asked anew: a forked child may be in
    /// another namespace than its parent, and a restored process on another boot.
    pub(crate) fn sight(&self) -> Sight {
        if self.pid == 0 {
            // No owner of ours has this number.
            return Sight::Gone;
        }
        if self.is_of_another_boot() {
            return Sight::Gone;
        }
        if self.namespace == 0 || self.namespace != sys::pid_namespace() {
            return Sight::Elsewhere;
        }
        match sys::process_state(self.pid) {
            Ok(Some(state)) if !state.ended && state.start_time == self.start_time => Sight::Runs,
            Ok(_) => Sight::Gone,
            Err(_) => Sight::Hidden,
        }
    }

    /// Whether it ran before this system was started, or on another one.
    pub(crate) fn is_of_another_boot(&self) -> bool {
        let boot = sys::boot_id();
        self.boot_id != 0 && boot != 0 && self.boot_id != boot
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
    use super::{Owner, Sight};

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
        // Numbers of another namespace, or of one that is not known, say nothing.
        for namespace in [me.namespace ^ 1, 0] {
            assert_eq!(Owner { namespace, ..me }.sight(), Sight::Elsewhere);
            assert!(Owner { pid: u32::MAX, namespace, ..me }.is_alive());
        }
        assert!(me.to_string().starts_with(&format!("pid {} (started at ", me.pid)));
        assert_eq!(Owner { pid: 0, ..me }.to_string(), "an unknown process");
    }
}
