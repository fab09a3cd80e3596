//! A run for each of several kernels, workloads and so on, each with each.

use crate::raw::{RawMatrix, RawRun};

/// One place of a matrix: what the run is done with there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Axis and value, in the order of [`axes`].
    values: Vec<(&'static str, String)>,
    /// Those of axes with several values.
    telling: Vec<String>,
}

fn axes(matrix: &RawMatrix) -> [(&'static str, Vec<String>); 5] {
    let smp = matrix.smp.iter().map(u32::to_string).collect();
    [
        ("workload", matrix.workload.clone()),
        ("kernel", matrix.kernel.clone()),
        ("image", matrix.image.clone()),
        ("events", matrix.events.clone()),
        ("smp", smp),
    ]
}

/// All places; one without values where there is no matrix, and `None` where there are more than `max`.
pub(crate) fn places(matrix: &RawMatrix, max: usize) -> Option<Vec<Place>> {
    let mut places = vec![Place::default()];
    for (axis, values) in axes(matrix) {
        if values.is_empty() {
            continue;
        }
        if places.len().saturating_mul(values.len()) > max {
            return None;
        }
        let with = |place: &Place, value: &String| {
            let mut place = place.clone();
            place.values.push((axis, value.clone()));
            if values.len() > 1 {
                place.telling.push(value.clone());
            }
            place
        };
        places = { places.iter() }
            .flat_map(|place| values.iter().map(move |value| with(place, value)))
            .collect();
    }
    Some(places)
}

impl Place {
    /// Puts its values into a run.
    pub(crate) fn apply(&self, run: &mut RawRun) {
        for (axis, value) in &self.values {
            let value = Some(value.clone());
            match *axis {
                "workload" => run.workload = value,
                "kernel" => run.kernel = value,
                "image" => run.image = value,
                "events" => run.events = value,
                _ => run.smp = value.and_then(|value| value.parse().ok()),
            }
        }
    }

    /// What the run is called there: as the name says it by `{kernel}` and the like, or with the values behind it.
    pub(crate) fn name(&self, name: &str, run: &RawRun) -> String {
        let mut filled = self.fill(name, run, "");
        if !name.contains('{') {
            for value in &self.telling {
                filled.push('-');
                filled.push_str(&plain(value));
            }
        }
        filled
    }

    /// Puts the run's own values for `{kernel}` and the like.
    pub(crate) fn fill(&self, text: &str, run: &RawRun, name: &str) -> String {
        let value = |value: &Option<String>| plain(value.as_deref().unwrap_or(""));
        let smp = run.smp.unwrap_or(1).to_string();
        text.replace("{name}", name)
            .replace("{kernel}", &value(&run.kernel))
            .replace("{image}", &value(&run.image))
            .replace("{workload}", &value(&run.workload))
            .replace("{events}", &value(&run.events))
            .replace("{smp}", &smp)
    }
}

/// As a part of a file name.
fn plain(text: &str) -> String {
    let plain = |c: char| match c {
        c if c.is_ascii_alphanumeric() || "._+-".contains(c) => c,
        _ => '_',
    };
    let trimmed = text.trim_start_matches(['.', '/']);
    trimmed.chars().map(plain).collect()
}
