//! Nothing freezes: every request takes one std `Mutex` for two milliseconds, and the workers wait
//! for one another all the time, some milliseconds each. The waits add up to seconds, but no thread
//! ever stands still.

use std::sync::Mutex;
use std::time::Duration;

use crate::{gate, serve};

static TABLE: Mutex<u64> = Mutex::new(1);
const KEPT: Duration = Duration::from_millis(2);
const OBSERVED: Duration = Duration::from_millis(2500);

pub fn run(_: &[String]) {
    serve::start(update_request);
    gate::ready();
    std::thread::sleep(OBSERVED);
    gate::done()
}

#[inline(never)]
fn update_request() -> usize {
    let mut table = TABLE.lock().expect("nobody panics while holding it");
    *table = table.wrapping_add(serve::compute(KEPT));
    drop(table);
    serve::map_request()
}
