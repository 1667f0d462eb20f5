//! How much times vary, by device and link.

use super::curves::{precision, profiled_device, profiled_model};
use super::hardware::LinkNames;
use crate::model::ModelId;
use crate::problem::{Effect, Jitter, Ratios, Repeats, Shape, Spikes, Variation, VariationError};
use crate::scenario::decode::{At, shorten};
use crate::scenario::diagnostic::{Mistakes, Span};
use crate::scenario::form::{DeviceForm, GammaForm, LinkForm, LognormalForm, ModelForm, ScenarioForm, SpikesForm};
use crate::scenario::profiles::Traces;

/// How times vary. If there are mistakes, it is not whole.
pub(super) fn lower(form: &ScenarioForm, links: &LinkNames, traces: &Traces, mistakes: &mut Mistakes) -> Variation {
    let devices = form.devices.iter().flatten();
    let models = form.models.as_deref().unwrap_or_default();
    let devices = devices.map(|device| of_device(device, models, traces, mistakes).unwrap_or_default()).collect();
    let mut of_links = Vec::new();
    for (index, link) in form.links.iter().flatten().enumerate() {
        let jitter = of_link(link, mistakes).unwrap_or_default();
        of_links.extend(links.directions(index).iter().map(|_| jitter.clone()));
    }
    Variation { devices, links: of_links }
}

fn of_device(device: &DeviceForm, models: &[ModelForm], traces: &Traces, mistakes: &mut Mistakes) -> Option<Jitter> {
    let form = device.variation.as_ref()?;
    let is_empirical = |empirical: &&At<bool>| empirical.value;
    let empirical = form.empirical.as_ref().filter(is_empirical);
    let shapes = [
        form.lognormal.as_ref().map(|form| ("lognormal", &form.at)),
        form.gamma.as_ref().map(|form| ("gamma", &form.at)),
        empirical.map(|empirical| ("empirical", &empirical.at)),
    ];
    check_count(&shapes, form.spikes.as_ref(), &form.at, mistakes);
    let shape = match empirical {
        Some(empirical) => lower_empirical(device, models, &empirical.at, traces, mistakes),
        None => lower_shape(form.lognormal.as_ref(), form.gamma.as_ref(), mistakes),
    };
    jitter(shape, form.spikes.as_ref(), mistakes)
}

fn of_link(link: &LinkForm, mistakes: &mut Mistakes) -> Option<Jitter> {
    let form = link.variation.as_ref()?;
    let shapes = [
        form.lognormal.as_ref().map(|form| ("lognormal", &form.at)),
        form.gamma.as_ref().map(|form| ("gamma", &form.at)),
    ];
    check_count(&shapes, form.spikes.as_ref(), &form.at, mistakes);
    jitter(lower_shape(form.lognormal.as_ref(), form.gamma.as_ref(), mistakes), form.spikes.as_ref(), mistakes)
}

/// There is at most one shape, and something that varies.
fn check_count(shapes: &[Option<(&str, &Span)>], spikes: Option<&SpikesForm>, at: &Span, mistakes: &mut Mistakes) {
    let mut shapes: Vec<&(&str, &Span)> = shapes.iter().flatten().collect();
    shapes.sort_by_key(|(_, at)| at.start);
    match shapes[..] {
        [] if spikes.is_none() => {
            mistakes.add(at, "nothing varies here", "add for example `lognormal = { cv = 0.05 }`, or remove it");
        }
        [(first, first_at), (second, second_at), ..] => {
            let cause = format!("`variation` has both `{first}` and `{second}`");
            mistakes.add(second_at, cause, "keep one of them").label("second").beside(first_at, "first");
        }
        _ => {}
    }
}

fn lower_shape(lognormal: Option<&LognormalForm>, gamma: Option<&GammaForm>, mistakes: &mut Mistakes) -> Option<Shape> {
    if let Some(lognormal) = lognormal {
        let cv = lognormal.cv.as_ref()?;
        let shape = Shape::Lognormal { cv: cv.value };
        check(Jitter::new(shape.clone(), None), &cv.at, mistakes);
        return Some(shape);
    }
    let Some(gamma) = gamma else { return Some(Shape::None) };
    let (cv, shift) = (gamma.cv.as_ref()?, gamma.shift.as_ref());
    check(Jitter::new(Shape::Gamma { cv: cv.value, shift: 0.0 }, None), &cv.at, mistakes);
    if let Some(shift) = shift {
        check(Jitter::new(Shape::Gamma { cv: 0.0, shift: shift.value }, None), &shift.at, mistakes);
    }
    Some(Shape::Gamma { cv: cv.value, shift: shift.map_or(0.0, |shift| shift.value) })
}

fn lower_empirical(
    device: &DeviceForm,
    models: &[ModelForm],
    at: &Span,
    traces: &Traces,
    mistakes: &mut Mistakes,
) -> Option<Shape> {
    const REMEDY: &str = "name a trace that `coinfer profile` wrote, or use `lognormal` or `gamma`";
    let name = profiled_device(device)?;
    let Some(trace) = &device.trace else {
        mistakes.add(at, "the device has no `trace` whose repeats show how times vary", REMEDY);
        return None;
    };
    // What is wrong with the trace, or with its name for the device, has been said.
    let profiles = traces.get(&trace.value)?;
    let ratios = traces.ratios(&trace.value, &name.value, precision(device))?;
    if ratios.is_empty() && profiles.devices().any(|device| device == name.value) {
        let device = precision(device).of(&shorten(&name.value));
        let cause = format!("the trace has no point of `{device}` with three raw repeats or more");
        mistakes.add(at, cause, REMEDY).beside(&trace.at, "the trace");
    }
    let all = Ratios::new(ratios.values().flat_map(|ratios| ratios.as_slice()).copied()).ok()?;
    // A network of several models has the same repeats for each.
    let of_model = |(id, model): (u32, &ModelForm)| {
        let profiled = profiled_model(model);
        let is_of = move |(name, _): &&(String, u32)| profiled.as_ref().is_some_and(|profiled| profiled.value == *name);
        let ratios = ratios.clone();
        let points: Vec<_> =
            ratios.keys().filter(is_of).map(|key| ((ModelId(id), key.1), ratios[key].clone())).collect();
        points
    };
    let points = (0..).zip(models).flat_map(of_model).collect();
    Some(Shape::Empirical(Repeats { all, points }))
}

fn jitter(shape: Option<Shape>, form: Option<&SpikesForm>, mistakes: &mut Mistakes) -> Option<Jitter> {
    let spikes = form.map(|form| lower_spikes(form, mistakes));
    match spikes {
        None => Jitter::new(shape?, None).ok(),
        Some(spikes) => Jitter::new(shape?, Some(spikes?)).ok(),
    }
}

fn lower_spikes(form: &SpikesForm, mistakes: &mut Mistakes) -> Option<Spikes> {
    let spikes = |probability, effect| Jitter::new(Shape::None, Some(Spikes { probability, effect }));
    if let Some(factor) = &form.factor {
        check(spikes(0.0, Effect::Factor(factor.value)), &factor.at, mistakes);
    }
    let probability = form.probability.as_ref()?;
    check(spikes(probability.value, Effect::Factor(1.0)), &probability.at, mistakes);
    let factor = form.factor.as_ref().map(|factor| Effect::Factor(factor.value));
    let effect = factor.or_else(|| form.added.as_ref().map(|added| Effect::Added(added.value)))?;
    Some(Spikes { probability: probability.value, effect })
}

/// Says what is wrong with the figure at `at`, if anything is.
fn check(result: Result<Jitter, VariationError>, at: &Span, mistakes: &mut Mistakes) {
    if let Err(error) = result {
        let message = error.to_string();
        let (cause, remedy) = message.split_once("; ").unwrap_or((&message, "correct it"));
        mistakes.add(at, cause, remedy);
    }
}
