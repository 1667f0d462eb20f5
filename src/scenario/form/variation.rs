//! How much times vary, and what breaks.

use std::any::Any;

use crate::scenario::decode::{At, form};
use crate::units::Duration;

form! {
    /// How times on a device vary around what costs say: as one of `lognormal`, `gamma` and `empirical`, and by rare
    /// spikes on top.
    DeviceVariationForm("`variation`") {
        /// A product of many small influences.
        lognormal: LognormalForm,
        /// A least time that is never undercut, and a gamma distribution above it.
        gamma: GammaForm,
        /// As the raw repeats in the trace of the device: each of a network and batch is as likely as the others, so that
        /// times have their mean, which is not their median; what has none varies as all that have.
        empirical: At<bool>,
        /// Repeats that take far longer than the others.
        spikes: SpikesForm,
    }

    /// How times on a link vary around what costs say: as `lognormal` or `gamma`, and by rare spikes on top.
    LinkVariationForm("`variation`") {
        /// A product of many small influences.
        lognormal: LognormalForm,
        /// A least time that is never undercut, and a gamma distribution above it.
        gamma: GammaForm,
        /// Repeats that take far longer than the others.
        spikes: SpikesForm,
    }

    /// A product of many small influences.
    LognormalForm("`lognormal`") {
        /// Standard deviation over mean, from 0 to 10.
        cv: At<f64> = "cv = 0.05",
    }

    /// A least time that is never undercut, and a gamma distribution above it.
    GammaForm("`gamma`") {
        /// Standard deviation over mean of the whole, from 0 to 10.
        cv: At<f64> = "cv = 0.05",
        /// The least time as a share of the mean, from 0 to below 1; 0 if absent.
        shift: At<f64>,
    }

    /// Repeats that take far longer than the others. They make the mean longer than costs say.
    SpikesForm("`spikes`") {
        /// How likely a step is to have one, from 0 to 1.
        probability: At<f64> = "probability = 0.001",
        @one_of "factor = 5.0" as dyn Any {
            /// How many times as long such a step takes, from 1 to 10000.
            factor: At<f64>,
            /// How much longer such a step takes.
            added: At<Duration>,
        }
    }

    /// A device or a link that is slow or gone for some time.
    FaultForm("the fault") {
        /// Unique among the faults.
        name: At<String>,
        /// When it begins, since the start of the run.
        from: At<Duration> = "from = \"2 s\"",
        /// When it ends; never if absent.
        until: At<Duration>,
        /// How many times as long everything takes, above 1 and up to 1000; of a link, but for its overhead and latency.
        slowdown: At<f64>,
        /// Whether the device is gone: the steps that it runs are lost.
        out: At<bool>,
        @one_of "device = \"gpu\"" as dyn Any {
            /// The device that it is of.
            device: At<String>,
            /// The link that it is of, in all its directions.
            link: At<String>,
        }
    }
}
