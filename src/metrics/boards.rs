//! What a replay says of devices on other machines: what they are, and which were lost.

use serde::{Deserialize, Serialize};

/// A device on another machine that took part in a replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemoteDevice {
    /// The device's name.
    pub device: String,
    /// Where its agent is.
    pub address: String,
    /// Its processor.
    pub hardware: String,
    /// The runtime that executes networks there.
    pub software: String,
    /// The cores that computed, as traces name them.
    pub unit: String,
    /// How far the times of its steps may be off on the clock of this machine, in milliseconds: half of the fastest
    /// round trip in which its clock was read.
    pub clock_error_ms: f64,
    /// How long the agent held each message on purpose, in milliseconds.
    pub delay_ms: f64,
}

/// A device that was lost while plans were replayed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lost {
    /// The device's name.
    pub device: String,
    /// What was seen of it last.
    pub reason: String,
    /// The strategy whose plan was run; `None` between plans.
    pub strategy: Option<String>,
    /// Steps of that round that had ended.
    pub steps_ended: usize,
    /// Whether the strategies planned again without it.
    pub is_replanned: bool,
}

impl Lost {
    /// What happened, in a sentence.
    pub(crate) fn sentence(&self) -> String {
        let Lost { device, reason, strategy, steps_ended, is_replanned } = self;
        let during = strategy.as_ref().map(|strategy| format!(" after {steps_ended} steps of a round of {strategy}"));
        let so = if *is_replanned { "the strategies planned again without it" } else { "these results are partial" };
        format!("`{device}` was lost{} ({reason}), and {so}", during.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_told_in_a_sentence() {
        let lost = Lost {
            device: "pi".into(),
            reason: "connection reset".into(),
            strategy: Some("even".into()),
            steps_ended: 3,
            is_replanned: false,
        };
        assert_eq!(
            lost.sentence(),
            "`pi` was lost after 3 steps of a round of even (connection reset), and these results are partial"
        );
        let lost = Lost { strategy: None, is_replanned: true, ..lost };
        assert_eq!(lost.sentence(), "`pi` was lost (connection reset), and the strategies planned again without it");
    }
}
