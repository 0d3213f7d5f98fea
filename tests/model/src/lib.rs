//! The one word of a mailbox under loom: the same source as the runtime's, with loom's atomics.

#[cfg(test)]
mod sync {
    pub use loom::sync::atomic::{AtomicPtr, Ordering};
}

#[cfg(test)]
#[allow(dead_code, reason = "the runtime uses the rest")]
#[path = "../../../runtime/src/mailbox/word.rs"]
mod word;

#[cfg(test)]
mod tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::thread;

    use super::word::Word;

    /// Every interleaving with at most so many switches of a thread that could have gone on: most
    /// faults show with two (Musuvathi and Qadeer, "Iterative context bounding", PLDI 2007), and
    /// without a bound the search takes hours.
    const SWITCHES: usize = 3;

    fn model(scenario: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(SWITCHES);
        builder.check(scenario);
    }

    /// An owner that counts how often it was put into a run queue.
    struct Owner {
        word: Word<u32>,
        queued: AtomicUsize,
    }

    fn at_rest() -> Arc<Owner> {
        let owner = Owner { word: Word::scheduled(), queued: AtomicUsize::new(0) };
        assert!(owner.word.rest());
        Arc::new(owner)
    }

    fn push(owner: &Owner, item: u32) {
        if owner.word.push(item).unwrap() {
            assert_eq!(owner.queued.fetch_add(1, Ordering::AcqRel), 0, "queued twice at once");
        }
    }

    /// Runs the owner if it is queued, until it rests.
    fn run(owner: &Owner, taken: &mut Vec<u32>) {
        if owner.queued.load(Ordering::Acquire) == 0 {
            return;
        }
        loop {
            taken.extend(owner.word.take());
            // Before it rests: from then on anybody may queue it again.
            owner.queued.fetch_sub(1, Ordering::AcqRel);
            if owner.word.rest() {
                return;
            }
            owner.queued.fetch_add(1, Ordering::AcqRel);
        }
    }

    #[test]
    fn nothing_pushed_is_lost_and_each_pushers_order_is_kept() {
        model(|| {
            let owner = at_rest();
            let pushers: Vec<_> = [10, 20]
                .into_iter()
                .map(|first| {
                    let owner = owner.clone();
                    thread::spawn(move || {
                        push(&owner, first);
                        push(&owner, first + 1);
                    })
                })
                .collect();
            let mut taken = Vec::new();
            run(&owner, &mut taken);
            for pusher in pushers {
                pusher.join().unwrap();
            }
            // What came while the owner was at rest left it queued: no wake-up is lost.
            run(&owner, &mut taken);
            assert_eq!(taken.len(), 4, "{taken:?}");
            let of = |first| taken.iter().copied().filter(move |item| item / 10 == first);
            assert!(of(1).eq([10, 11]) && of(2).eq([20, 21]), "{taken:?}");
            assert_eq!(owner.queued.load(Ordering::Acquire), 0);
        });
    }

    #[test]
    fn what_comes_while_the_mailbox_closes_is_taken_or_given_back() {
        model(|| {
            let owner = at_rest();
            let pusher = {
                let owner = owner.clone();
                thread::spawn(move || owner.word.push(1).is_ok())
            };
            let taken = owner.word.close().count();
            let pushed = pusher.join().unwrap();
            assert_eq!(taken, usize::from(pushed), "an item is in one place");
            assert!(owner.word.push(2).is_err());
        });
    }
}
