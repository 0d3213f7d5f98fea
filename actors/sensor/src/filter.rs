//! Smoothing: the median of three takes out single outliers, a moving average the noise.

use serde::{Deserialize, Serialize};

/// Takes raw values one by one and gives a smooth one for each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// The last values, at most three, the oldest first.
    last: Vec<f64>,
    smooth: Option<f64>,
}

impl Filter {
    /// Takes a raw value. `weight` (above 0, up to 1) is the share of the new value in the average:
    /// with 1 there is only the median. `None` for a value that is no number, which is not taken.
    pub fn feed(&mut self, raw: f64, weight: f64) -> Option<f64> {
        if !raw.is_finite() {
            return None;
        }
        if self.last.len() == 3 {
            self.last.remove(0);
        }
        self.last.push(raw);
        let median = median(&self.last);
        // In this form neither a difference nor a sum of two large values is infinite.
        let mix = |before: f64| before * (1.0 - weight) + median * weight;
        let smooth = self.smooth.map_or(median, mix);
        self.smooth = Some(smooth);
        Some(smooth)
    }
}

/// Of two the mean.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted[..] {
        [] => 0.0,
        [a, b] => a / 2.0 + b / 2.0,
        _ => sorted[sorted.len() / 2],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn feed(values: &[f64], weight: f64) -> Vec<f64> {
        let mut filter = Filter::default();
        values.iter().filter_map(|raw| filter.feed(*raw, weight)).collect()
    }

    #[test]
    fn a_single_outlier_does_not_show() {
        assert_eq!(feed(&[20.0, 20.0, 85.0, 20.0, 20.0], 0.5), [20.0; 5]);
    }

    #[test]
    fn a_step_is_followed() {
        let smooth = feed(&[[20.0; 4], [24.0; 4]].concat(), 0.5);
        assert_eq!(smooth[3..], [20.0, 20.0, 22.0, 23.0, 23.5]);
    }

    #[test]
    fn what_is_no_number_is_not_taken() {
        assert_eq!(feed(&[f64::NAN, 1.0, f64::INFINITY, 1.0], 0.5), [1.0, 1.0]);
    }

    proptest! {
        #[test]
        fn what_comes_out_lies_within_what_went_in(
            values in proptest::collection::vec(any::<f64>(), 1..50),
            weight in 0.01f64..=1.0,
        ) {
            let finite = || values.iter().copied().filter(|raw| raw.is_finite());
            let low = finite().fold(f64::MAX, f64::min);
            let high = finite().fold(f64::MIN, f64::max);
            let slack = (high.abs().max(low.abs()) * 1e-12).max(1e-300);
            for smooth in feed(&values, weight) {
                prop_assert!(smooth >= low - slack && smooth <= high + slack);
            }
        }
    }
}
