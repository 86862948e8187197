//! From what was seen to what is the matter. Pure functions, one subject a file.

mod clock;
mod files;
mod interfaces;
mod multicast;
mod peers;
#[cfg(test)]
mod testing;

use super::{finding::Finding, observed::Observed};

/// All that there is to say, the worst first.
pub(crate) fn judge(seen: &Observed) -> Vec<Finding> {
    let mut findings = interfaces::judge(seen);
    findings.extend(multicast::judge(seen));
    findings.extend(peers::judge(seen));
    findings.extend(clock::judge(seen));
    findings.extend(files::judge(seen));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}
