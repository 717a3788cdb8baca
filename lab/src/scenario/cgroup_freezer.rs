//! The server's cgroup is frozen, as a container's is by `docker pause`, and thawed a second and a
//! half later.

use std::time::Duration;

use crate::cgroup::Cgroup;
use crate::{gate, process, serve, truth};

const FROZEN_FOR: Duration = Duration::from_millis(1500);

pub fn run(arguments: &[String]) {
    let [group] = arguments else { panic!("needs CGROUP") };
    let server = process::start_server(|| {
        Cgroup::create(group).add(std::process::id());
        serve::start_mapping();
    });
    process::rename(c"supervisor");
    let group = Cgroup::create(group);
    gate::ready();
    truth::span("stopped", &format!("server={server}"), || {
        group.set("freezer.state", "FROZEN");
        std::thread::sleep(FROZEN_FOR);
        group.set("freezer.state", "THAWED");
    });
    gate::done()
}
