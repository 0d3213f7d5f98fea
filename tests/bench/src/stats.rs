//! Medians and spread of the rounds.

/// One side's rounds of one row.
#[derive(Clone, Debug, Default)]
pub struct Rounds(Vec<f64>);

impl Rounds {
    /// One more round.
    pub fn add(&mut self, figure: f64) {
        self.0.push(figure);
        self.0.sort_by(f64::total_cmp);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The middle one, or the mean of the middle two; none without rounds.
    pub fn median(&self) -> Option<f64> {
        let middle = self.0.len() / 2;
        let upper = *self.0.get(middle)?;
        Some(if self.0.len() % 2 == 1 { upper } else { (self.0[middle - 1] + upper) / 2.0 })
    }

    /// The least and the greatest.
    pub fn spread(&self) -> Option<(f64, f64)> {
        Some((*self.0.first()?, *self.0.last()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        let mut rounds = Rounds::default();
        assert_eq!(rounds.median(), None);
        for figure in [5.0, 1.0, 3.0] {
            rounds.add(figure);
        }
        assert_eq!(rounds.median(), Some(3.0));
        assert_eq!(rounds.spread(), Some((1.0, 5.0)));
        rounds.add(4.0);
        assert_eq!(rounds.median(), Some(3.5));
    }
}
