//! Jobs that are checked once and submitted often, for the benchmark. Their IVs lie in the segment.

use std::sync::Arc;

use shmem::Segment;

use crate::error::Result;
use crate::ffi::RawJob;
use crate::manager::Manager;
use crate::words::Request;

/// Jobs of one manager's segment.
pub struct Batch {
    segment: Arc<Segment>,
    jobs: Vec<RawJob>,
}

impl Batch {
    /// Checks `requests` and stores their IVs in the arena of the manager's segment.
    ///
    /// # Errors
    /// As [`Manager::submit`].
    pub fn new(manager: &Manager, requests: &[Request]) -> Result<Batch> {
        let segment = manager.segment();
        let ivs = segment.arena().alloc(16 * requests.len().max(1) as u64, 64)?;
        let mut jobs = Vec::with_capacity(requests.len());
        for (request, i) in requests.iter().zip(0..) {
            let iv = match request.iv_len {
                0 => None,
                _ => {
                    let at = shmem::Offset::new(ivs.get() + 16 * i);
                    segment.write(at, &request.iv)?;
                    Some(at)
                }
            };
            jobs.push(manager.prepare(request, iv)?);
        }
        Ok(Batch { segment: Arc::clone(segment), jobs })
    }

    pub(crate) fn jobs(&self) -> &[RawJob] {
        &self.jobs
    }

    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }
}
