//! What knows times of a network on a device, in the order in which it is asked.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use super::curve::Curve;
use super::least::{Piece, Scope};
use super::parts::Parts;
use super::speed::Speed;
use super::surface::Surface;
use super::{Basis, Estimate, Profile};
use crate::model::{Graph, Work};
use crate::platform::Precision;
use crate::units::{Duration, Share};

/// Work that a time is asked of.
pub(super) struct Asked<'a> {
    pub(super) graph: &'a Graph,
    pub(super) work: &'a Work,
    /// Whether it is all rows of all layers.
    pub(super) is_whole: bool,
    /// What the device computes in.
    pub(super) precision: Precision,
}

/// Something that knows times.
trait Source: Debug + Send + Sync {
    /// The time, or why it is refused; `None` if another source is to be asked.
    fn estimate(&self, asked: &Asked<'_>) -> Option<Result<Estimate, String>>;

    /// The least that its times come to, as [`super::CostModel::least`] says.
    fn least(&self, graph: &Graph, scope: &Scope<'_>) -> Vec<Piece>;

    /// What another profile might have given; `None` if nothing says how far times are off.
    fn resampled(&self, _draw: u64) -> Option<Arc<dyn Source>> {
        None
    }
}

/// A whole network, by its curve.
impl Source for Curve {
    fn estimate(&self, asked: &Asked<'_>) -> Option<Result<Estimate, String>> {
        let time = || self.estimate(asked.work.region.samples.len() as u32).map_err(|refusal| refusal.to_string());
        asked.is_whole.then(time)
    }

    fn least(&self, graph: &Graph, scope: &Scope<'_>) -> Vec<Piece> {
        let whole = graph.whole().and_then(|segment| {
            let nanos = self.least((scope.samples_whole)(&segment))?;
            Some(Piece { segment, nanos })
        });
        whole.into_iter().collect()
    }

    fn resampled(&self, draw: u64) -> Option<Arc<dyn Source>> {
        self.resampled(draw).map(|curve| Arc::new(curve) as Arc<dyn Source>)
    }
}

/// Parts of a network, by its units and by what these save if the whole network is known.
#[derive(Debug)]
struct OfParts {
    parts: Arc<Parts>,
    whole: Option<Curve>,
}

impl Source for OfParts {
    fn estimate(&self, asked: &Asked<'_>) -> Option<Result<Estimate, String>> {
        let batch = asked.work.region.samples.len() as u32;
        let whole = self.whole.as_ref().and_then(|whole| Some(whole.estimate(batch).ok()?.time));
        Some(self.parts.estimate(asked.work, whole))
    }

    fn least(&self, _: &Graph, scope: &Scope<'_>) -> Vec<Piece> {
        self.parts.least(self.whole.as_ref(), scope)
    }

    fn resampled(&self, draw: u64) -> Option<Arc<dyn Source>> {
        let whole = self.whole.as_ref().and_then(|whole| whole.resampled(draw));
        let parts = self.parts.resampled(draw);
        (whole.is_some() || parts.is_some()).then(|| {
            let whole = whole.or_else(|| self.whole.clone());
            Arc::new(OfParts { parts: parts.map_or_else(|| self.parts.clone(), Arc::new), whole }) as Arc<dyn Source>
        })
    }
}

/// Anything, by its multiply-accumulates.
impl Source for Speed {
    fn estimate(&self, asked: &Asked<'_>) -> Option<Result<Estimate, String>> {
        self.estimate(Share::FULL, asked.graph, asked.work).map(Ok)
    }

    fn least(&self, graph: &Graph, scope: &Scope<'_>) -> Vec<Piece> {
        self.least(graph, scope)
    }
}

/// The sources of a network on a device, by the share of the device that they were measured on: the first that answers is
/// believed.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    by_share: BTreeMap<Share, Vec<Arc<dyn Source>>>,
    /// What whole networks take on shares and in batches that were not measured, if that has a form.
    surface: Option<Surface>,
    /// How fast the device is, if nothing else is known.
    speed: Option<Speed>,
}

impl Sources {
    /// Those of what is known: the whole network, its parts, and the rate of a device of which no more is known.
    pub(super) fn new(mut profile: Profile) -> Sources {
        let shares = std::mem::take(&mut profile.shares);
        let is_traced = profile.whole.is_some() || profile.parts.is_some() || !shares.is_empty();
        let speed = profile.speed.filter(|_| !is_traced);
        let is_known = profile.whole.is_some() || profile.parts.is_some() || profile.speed.is_some();
        let all = (is_known || shares.is_empty()).then_some((Share::FULL, profile));
        let profiles: BTreeMap<Share, Profile> = shares.into_iter().chain(all).collect();
        let wholes = profiles.iter().filter_map(|(share, profile)| Some((*share, profile.whole.clone()?)));
        let surface = Surface::new(wholes.collect());
        let sources = |profile: Profile| {
            let mut sources: Vec<Arc<dyn Source>> = Vec::new();
            sources.extend(profile.whole.clone().map(|whole| Arc::new(whole) as Arc<dyn Source>));
            let whole = profile.whole;
            sources.extend(profile.parts.map(|parts| Arc::new(OfParts { parts, whole }) as Arc<dyn Source>));
            let speed = profile.speed.filter(|_| sources.is_empty());
            sources.extend(speed.map(|speed| Arc::new(speed) as Arc<dyn Source>));
            sources
        };
        let by_share = profiles.into_iter().map(|(share, profile)| (share, sources(profile))).collect();
        Sources { by_share, surface, speed }
    }

    /// The time on a share of the device. Between shares that were measured, it has the form that whole networks have there, or
    /// else the speed is linear in the share.
    ///
    /// # Errors
    /// What is missing, and what would help.
    pub(super) fn estimate(&self, share: Share, asked: &Asked<'_>) -> Result<Estimate, String> {
        let points = |share: Share| f64::from(share.basis_points());
        let batch = asked.work.region.samples.len() as u32;
        let surface = self.surface.as_ref().filter(|_| asked.is_whole);
        if let Some(estimate) = surface.and_then(|surface| surface.estimate(share, batch)) {
            return Ok(estimate);
        }
        if let Some(estimate) = self.speed.and_then(|speed| speed.estimate(share, asked.graph, asked.work)) {
            return Ok(estimate);
        }
        if let Some(sources) = self.by_share.get(&share) {
            return estimate(sources, asked);
        }
        let below = self.by_share.range(..share).next_back();
        let (Some((low, below)), Some((high, above))) = (below, self.by_share.range(share..).next()) else {
            if self.by_share.keys().eq([&Share::FULL]) {
                return Err(match self.speed {
                    Some(_) => "nothing says what parts of it take; say how many `units` it has".into(),
                    None => "traces were taken on whole devices, and this lane holds a part of one".into(),
                });
            }
            let measured: Vec<String> = self.by_share.keys().map(|share| (points(*share) / 1e4).to_string()).collect();
            let (measured, held) = (measured.join(", "), points(share) / 1e4);
            return Err(format!(
                "it was profiled with shares {measured} of the device, and this lane holds {held}, which lies beyond; \
                 profile it with that share"
            ));
        };
        let (below, above) = (estimate(below, asked)?, estimate(above, asked)?);
        let along = (points(share) - points(*low)) / (points(*high) - points(*low));
        let speed = |estimate: Estimate| 1.0 / estimate.time.as_nanos_f64();
        let nanos = 1.0 / (speed(below) * (1.0 - along) + speed(above) * along);
        let basis = below.basis.max(above.basis).max(Basis::Interpolated);
        // Rounded up, so that the least time on either side bounds it.
        Ok(Estimate { time: Duration::from_nanos_f64(nanos.ceil()), basis })
    }

    /// What each source comes to at the least, on any share.
    ///
    /// A share of the device for its time is a ratio of two linear functions of the share between those that were measured,
    /// which only rises or only falls.
    pub(super) fn least(&self, graph: &Graph, scope: &Scope<'_>) -> Vec<Piece> {
        let of_share = |(share, sources): (&Share, &Vec<Arc<dyn Source>>)| -> Vec<Piece> {
            let part = f64::from(share.basis_points()) / f64::from(Share::FULL.basis_points());
            let pieces = sources.iter().flat_map(|source| source.least(graph, scope));
            pieces.map(|piece| Piece { nanos: piece.nanos * part, ..piece }).collect()
        };
        let whole = graph.whole().and_then(|segment| {
            let nanos = self.surface.as_ref()?.least((scope.samples_whole)(&segment))?;
            Some(Piece { segment, nanos })
        });
        self.by_share.iter().flat_map(of_share).chain(whole).collect()
    }

    /// What another profile might have given, and whether anything says how far times are off.
    pub(super) fn resampled(&self, draw: u64) -> (Sources, bool) {
        let mut sources = self.clone();
        let mut is_any = false;
        for source in sources.by_share.values_mut().flatten() {
            if let Some(resampled) = source.resampled(draw) {
                (*source, is_any) = (resampled, true);
            }
        }
        let surface = self.surface.as_ref().and_then(|surface| surface.resampled(draw));
        sources.surface = surface.or(sources.surface);
        (sources, is_any)
    }
}

/// What the first source that answers says.
fn estimate(sources: &[Arc<dyn Source>], asked: &Asked<'_>) -> Result<Estimate, String> {
    let answer = sources.iter().find_map(|source| source.estimate(asked));
    answer.unwrap_or_else(|| {
        Err(if asked.is_whole {
            format!("no trace has this network on this device at {}", asked.precision)
        } else {
            "the trace has whole networks only, and this is a part of one; profile its layers with --units".into()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::curve::tests::curve;
    use super::super::lookup::Lookup;
    use super::*;
    use crate::model::{ModelId, Region};
    use crate::units::Bytes;

    fn profile(millis: f64) -> Profile {
        Profile { whole: Some(curve(Lookup::Exact, &[(1, millis)])), ..Profile::default() }
    }

    fn estimate(profile: Profile, points: u16) -> Result<(f64, Basis), String> {
        let graph = Graph::opaque("net", 1, 1, Bytes(0), Bytes(0)).unwrap();
        let region = Region { samples: 0..1, rows: 0..1 };
        let work = Work { model: ModelId(0), segment: graph.whole().unwrap(), region };
        let asked = Asked { graph: &graph, work: &work, is_whole: true, precision: Precision::Fp32 };
        let estimate = Sources::new(profile).estimate(Share::from_basis_points(points).unwrap(), &asked)?;
        Ok((estimate.time.as_millis_f64(), estimate.basis))
    }

    fn shared(shares: &[(u16, f64)]) -> BTreeMap<Share, Profile> {
        shares.iter().map(|&(points, millis)| (Share::from_basis_points(points).unwrap(), profile(millis))).collect()
    }

    #[test]
    fn between_measured_shares_the_speed_is_linear() {
        let of = || Profile { shares: shared(&[(2500, 40.0), (5000, 25.0)]), ..profile(15.0) };
        assert_eq!(estimate(of(), 10_000), Ok((15.0, Basis::Measured)));
        assert_eq!(estimate(of(), 2500), Ok((40.0, Basis::Measured)));
        // Speeds of 1/40 and 1/25 have a mean of 13/400.
        assert_eq!(estimate(of(), 3750), Ok((30.769231, Basis::Interpolated)));
        assert_eq!(estimate(of(), 7500), Ok((18.75, Basis::Interpolated)));
    }

    #[test]
    fn shares_beyond_those_measured_are_refused() {
        let beyond = |held: &str| {
            format!(
                "it was profiled with shares 0.25, 0.5 of the device, and this lane holds {held}, which lies beyond; \
                     profile it with that share"
            )
        };
        let of = || Profile { shares: shared(&[(2500, 40.0), (5000, 25.0)]), ..Profile::default() };
        assert_eq!(estimate(of(), 2000), Err(beyond("0.2")));
        assert_eq!(estimate(of(), 10_000), Err(beyond("1")));
        let whole = "traces were taken on whole devices, and this lane holds a part of one";
        assert_eq!(estimate(profile(15.0), 5000), Err(whole.into()));
        assert_eq!(estimate(profile(15.0), 10_000), Ok((15.0, Basis::Measured)));
    }
}
