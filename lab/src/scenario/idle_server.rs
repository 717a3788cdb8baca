//! Nothing freezes: a listener waits in accept, workers wait on a `Condvar` for work, and a request
//! comes only now and then. Long sleeps that a careless reader would take for a freeze.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::truth::note;
use crate::{gate, serve};

static QUEUE: Mutex<Vec<TcpStream>> = Mutex::new(Vec::new());
static WORK: Condvar = Condvar::new();
const WORKERS: usize = 4;
const BETWEEN_REQUESTS: Duration = Duration::from_millis(700);
const REQUESTS: usize = 4;

pub fn run(_: &[String]) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    serve::spawn("listener", move || listen(listener));
    for index in 0..WORKERS {
        serve::spawn(&format!("worker-{index}"), answer_for_ever);
    }
    gate::ready();
    for _ in 0..REQUESTS {
        std::thread::sleep(BETWEEN_REQUESTS);
        ask(address);
    }
    gate::done()
}

fn listen(listener: TcpListener) {
    for stream in listener.incoming().flatten() {
        QUEUE.lock().expect("nobody panics while holding it").push(stream);
        WORK.notify_one();
    }
}

fn answer_for_ever() {
    loop {
        let queue = QUEUE.lock().expect("nobody panics while holding it");
        let mut queue = WORK
            .wait_while(queue, |queue| queue.is_empty())
            .expect("nobody panics while holding it");
        let stream = queue.pop();
        drop(queue);
        if let Some(mut stream) = stream {
            let _ = stream.write_all(b"answer");
        }
    }
}

fn ask(address: SocketAddr) {
    let mut answer = String::new();
    let mut stream = TcpStream::connect(address).expect("the listener listens");
    stream.read_to_string(&mut answer).expect("the answer is text");
    note!("answered {answer}");
}
