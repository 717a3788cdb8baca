//! The server's cgroup gets a tenth of a CPU for some periods of a second: its threads use it up
//! within milliseconds and then stand still, ready to run, until the next period.

use std::time::Duration;

use crate::cgroup::Cgroup;
use crate::truth::{self, note};
use crate::{gate, process, serve};

const WORK: Duration = Duration::from_millis(3);
const SCARCE_FOR: Duration = Duration::from_millis(2500);

pub fn run(arguments: &[String]) {
    let [group] = arguments else { panic!("needs CGROUP") };
    process::start_server(|| {
        Cgroup::create(group).add(std::process::id());
        serve::start(compute_request);
    });
    process::rename(c"supervisor");
    withhold_the_cpu(&Cgroup::create(group))
}

#[inline(never)]
fn compute_request() -> usize {
    serve::compute(WORK) as usize
}

fn withhold_the_cpu(group: &Cgroup) {
    group.set("cpu.cfs_period_us", "1000000");
    gate::ready();
    note!("before {}", group.get("cpu.stat"));
    truth::span("quota", "quota_us=100000 period_us=1000000", || {
        group.set("cpu.cfs_quota_us", "100000");
        std::thread::sleep(SCARCE_FOR);
        group.set("cpu.cfs_quota_us", "-1");
    });
    note!("after {}", group.get("cpu.stat"));
    gate::done()
}
