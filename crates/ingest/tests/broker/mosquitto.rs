//! A mosquitto in a directory of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) struct Mosquitto {
    pub(crate) port: u16,
    pub(crate) dir: TempDir,
    child: Option<Child>,
}

impl Mosquitto {
    pub(crate) fn start() -> Self {
        Self::with("allow_anonymous true\n")
    }

    /// With `settings` beside what every test wants.
    pub(crate) fn with(settings: &str) -> Self {
        let mut broker = Self::down(settings);
        broker.up();
        broker
    }

    /// Configured, with a port of its own, and not running.
    pub(crate) fn down(settings: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory for the broker");
        let port = free_port();
        let path = dir.path().join("mosquitto.conf");
        let settings = settings.replace("DIR", dir.path().to_str().expect("a UTF-8 path"));
        // `user root` keeps its rights where the test runs as root, so that it can read this directory.
        let common = "persistence false\nmax_queued_messages 0\nmax_inflight_messages 0\nlog_type error\nuser root\n";
        std::fs::write(&path, format!("listener {port} 127.0.0.1\n{settings}{common}")).expect("the broker's configuration");
        Self { port, dir, child: None }
    }

    pub(crate) fn up(&mut self) {
        let path = self.dir.path().join("mosquitto.conf");
        // Debian keeps it in sbin, which is not on every user's path.
        let program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto"]
            .into_iter()
            .find(|p| std::path::Path::new(p).exists());
        let child = Command::new(program.unwrap_or("mosquitto")).arg("-c").arg(path).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.child = Some(child.expect("mosquitto must be installed to run these tests"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(Instant::now() < deadline, "mosquitto listens on port {}", self.port);
            std::thread::yield_now();
        }
    }

    /// Ends it at once, as a crash would; its sessions are gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the broker runs");
            child.wait().expect("the broker ends");
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
    listener.local_addr().expect("bound").port()
}
