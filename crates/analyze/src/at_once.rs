//! Work for two processors at once.
//!
//! Reading a capture keeps two of them busy; what follows is a walk over what was read, and most of its steps do not need each
//! other's results. What comes out is the same on one processor.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Results of two questions, asked at once.
pub(crate) fn both<A, B: Send>(
    one: impl FnOnce() -> A,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    thread::scope(|scope| {
        let other = scope.spawn(other);
        let one = one();
        (one, other.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// What becomes of each item, in their order. Who is done with one takes the next: some take a thousand times as long as
/// others.
pub(crate) fn each<T: Sync, R: Send>(items: &[T], question: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let answers = || {
        let mut answers = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(place) else { return answers };
            answers.push((place, question(item)));
        }
    };
    let (mut answers, others) = both(answers, answers);
    answers.extend(others);
    answers.sort_unstable_by_key(|&(place, _)| place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_the_order_of_their_items() {
        let items: Vec<u32> = (0..1000).collect();
        let doubled = each(&items, |item| {
            if item % 100 == 0 {
                thread::yield_now();
            }
            item * 2
        });
        assert!(doubled.iter().zip(&items).all(|(double, item)| *double == item * 2));
        assert_eq!(doubled.len(), 1000);
        assert!(each(&[0_u8; 0], |item| *item).is_empty());
    }
}
