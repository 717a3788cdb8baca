//! The server's workers ask a backend in another process for everything. For a second and a half the
//! backend, which has one thread for all connections, computes one expensive answer; the workers
//! wait in recv.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::truth;
use crate::{gate, process, serve};

const ORDINARY: u8 = b'o';
const EXPENSIVE: u8 = b'e';
const EXPENSIVE_TAKES: Duration = Duration::from_millis(1500);

static CONNECTIONS: [Mutex<Option<TcpStream>>; serve::THREADS] =
    [const { Mutex::new(None) }; serve::THREADS];
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Each worker has a connection of its own.
    static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed);
}

pub fn run(_: &[String]) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    process::start_server(move || {
        for connection in &CONNECTIONS {
            let stream = TcpStream::connect(address).expect("the backend listens");
            stream.set_nodelay(true).expect("a socket has this option");
            *connection.lock().expect("nobody panics while holding it") = Some(stream);
        }
        serve::start(ask_request);
    });
    process::rename(c"backend");
    let clients: Vec<TcpStream> = (0..serve::THREADS)
        .map(|_| listener.accept().expect("the server has connected").0)
        .collect();
    let mut operator = TcpStream::connect(address).expect("the backend listens");
    let (operator_here, _) = listener.accept().expect("it has connected just now");
    serve::spawn("event-loop", move || answer_for_ever(clients, operator_here));
    gate::ready();
    operator.write_all(&[EXPENSIVE]).expect("the event loop lives");
    // Not by waiting for the answer: that would be one more victim.
    std::thread::sleep(EXPENSIVE_TAKES + Duration::from_millis(100));
    gate::done()
}

#[inline(never)]
fn ask_request() -> usize {
    let mine = CONNECTIONS[MINE.with(|mine| *mine)].lock().expect("nobody panics while holding it");
    let mut stream = mine.as_ref().expect("connected before any thread starts");
    stream.write_all(&[ORDINARY]).expect("the backend lives");
    receive(stream)
}

#[inline(never)]
fn receive(mut stream: &TcpStream) -> usize {
    let mut answer = [0; 1];
    stream.read_exact(&mut answer).expect("the backend answers");
    answer.len()
}

fn answer_for_ever(mut clients: Vec<TcpStream>, operator: TcpStream) {
    clients.push(operator);
    loop {
        for index in ready_to_read(&clients) {
            let mut question = [0; 1];
            if clients[index].read_exact(&mut question).is_err() {
                std::process::exit(0)
            }
            if question[0] == EXPENSIVE {
                truth::span("stall", "backend=event-loop", expensive_answer);
            }
            let _ = clients[index].write_all(&question);
        }
    }
}

#[inline(never)]
fn expensive_answer() {
    serve::compute(EXPENSIVE_TAKES);
}

fn ready_to_read(clients: &[TcpStream]) -> Vec<usize> {
    let mut polled: Vec<libc::pollfd> = clients
        .iter()
        .map(|client| libc::pollfd { fd: client.as_raw_fd(), events: libc::POLLIN, revents: 0 })
        .collect();
    // SAFETY: the array is as long as said, and the files are open.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, -1) };
    assert!(ready > 0, "poll: {}", std::io::Error::last_os_error());
    (0..polled.len()).filter(|index| polled[*index].revents != 0).collect()
}
