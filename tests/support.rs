//! The parts a test of the whole needs: a real broker, the real binary with a configuration of its own, a publisher, a
//! receiver of webhooks. Everything ends with the test, and waiting is always for a condition with a deadline.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use tempfile::TempDir;

/// Longer than anything takes on a busy machine; a test that reaches it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Polls until `found` gives something.
pub(crate) fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::park_timeout(Duration::from_millis(20));
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("a bound socket has an address").port()
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of real data, or `None`, said loudly: such a test proves nothing where the data is absent.
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
pub(crate) fn shared_data() -> Option<PathBuf> {
    let folder = std::env::var_os("HUONG_SHARED_DATA").map_or_else(|| root().join("../shared/data"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no real data at {} (set HUONG_SHARED_DATA)", folder.display());
    None
}

/// Runs the binary to its end.
pub(crate) fn huong(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_huong"));
    command.args(args).current_dir(root()).output().expect("the binary starts")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// mosquitto on a port of its own.
pub(crate) struct Mosquitto {
    pub(crate) port: u16,
    child: Child,
    dir: TempDir,
}

impl Mosquitto {
    pub(crate) fn start() -> Self {
        Self::on(free_port())
    }

    /// Keeps nothing on disk.
    pub(crate) fn on(port: u16) -> Self {
        Self::with(port, |_| String::new())
    }

    /// Keeps sessions and messages over [`Mosquitto::restart`].
    pub(crate) fn lasting() -> Self {
        Self::with(free_port(), |dir| format!("persistence true\npersistence_location {}/\n", dir.display()))
    }

    fn with(port: u16, more: impl Fn(&Path) -> String) -> Self {
        let dir = tempfile::tempdir().expect("a folder for the broker");
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\nmessage_size_limit 0\nuser root\n"
        );
        std::fs::write(dir.path().join("mosquitto.conf"), text + &more(dir.path())).expect("the broker's configuration is written");
        Self { port, child: mosquitto(port, dir.path()), dir }
    }

    /// Ends it in order and starts it again.
    pub(crate) fn restart(&mut self) {
        terminate(&self.child);
        self.child.wait().expect("a child can be waited for");
        self.child = mosquitto(self.port, self.dir.path());
    }
}

fn mosquitto(port: u16, dir: &Path) -> Child {
    let program =
        ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"].into_iter().find(|path| Path::new(path).exists()).unwrap_or("mosquitto");
    let mut command = Command::new(program);
    command.arg("-c").arg(dir.join("mosquitto.conf")).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().expect("mosquitto is installed (make test does it)");
    wait_for("mosquitto to listen", || TcpStream::connect(("127.0.0.1", port)).ok());
    child
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

pub(crate) fn end(child: &mut Child) {
    // Both fail only when it has ended by itself.
    let _ended = child.kill();
    let _ended = child.wait();
}

/// A running `huong run` with its own store and wall.
pub(crate) struct Huong {
    pub(crate) dir: TempDir,
    pub(crate) wall: u16,
    mqtt: u16,
    /// Of the configuration, before the first section and after the last.
    head: String,
    extra: String,
    child: Child,
}

impl Huong {
    /// Starts against the broker at `mqtt`; `extra` is appended to the configuration (more sinks, limits).
    pub(crate) fn start(mqtt: u16, extra: &str) -> Self {
        Self::with_files(mqtt, &[], "", extra)
    }

    /// Starts with its store on a file system of `bytes` of its own, `limits` as lines of `[store]`; `None`, said loudly, when this process may not mount.
    pub(crate) fn on_small_disk(mqtt: u16, bytes: u64, limits: &str, extra: &str) -> Option<(Self, SmallDisk)> {
        let dir = tempfile::tempdir().expect("a folder for the store");
        let store = dir.path().join("store");
        std::fs::create_dir(&store).expect("a folder to mount on");
        let disk = SmallDisk::mount(store, bytes)?;
        let head: String = limits.lines().map(|line| format!("store.{line}\n")).collect();
        Some((Self::start_in(dir, mqtt, &head, extra), disk))
    }

    /// Starts with these rules, as (file name, text), instead of the shipped ones; [`Huong::rules`] is their folder.
    pub(crate) fn with_rules(mqtt: u16, files: &[(&str, &str)]) -> Self {
        let files: Vec<(String, &str)> = files.iter().map(|(name, text)| (format!("pipelines/{name}"), *text)).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        Self::with_files(mqtt, &files, "", "")
    }

    /// Starts with `registry.toml`, `streams.toml`, `sources.toml` and rules in `pipelines/`, those that are given, instead of the
    /// shipped ones; `head` and `extra` go to the configuration, before and behind its sections.
    pub(crate) fn with_files(mqtt: u16, files: &[(&str, &str)], head: &str, extra: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder for the store");
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(dir.path())).expect("a folder for the files");
            std::fs::write(path, text).expect("the file is written");
        }
        Self::start_in(dir, mqtt, head, extra)
    }

    fn start_in(dir: TempDir, mqtt: u16, head: &str, extra: &str) -> Self {
        let wall = write_config(mqtt, dir.path(), head, extra);
        let child = spawn(dir.path());
        let mut huong = Self { dir, wall, mqtt, head: head.to_owned(), extra: extra.to_owned(), child };
        huong.until_up();
        huong
    }

    pub(crate) fn rules(&self) -> PathBuf {
        self.dir.path().join("pipelines")
    }

    /// Waits until it has subscribed: a broker keeps nothing for a session that it has never seen.
    pub(crate) fn connected(self) -> Self {
        wait_for("the subscription", || self.snapshot().contains("\"broker_connected\":true").then_some(()));
        self
    }

    /// Kills it where it stands, as a power cut would.
    pub(crate) fn kill(&mut self) {
        end(&mut self.child);
    }

    /// Starts again on the same store, after [`Huong::kill`] or [`Huong::stop`].
    pub(crate) fn restart(&mut self) {
        self.spawn();
        self.until_up();
    }

    /// The same, without waiting for it.
    pub(crate) fn spawn(&mut self) {
        self.wall = write_config(self.mqtt, self.dir.path(), &self.head, &self.extra);
        self.child = spawn(self.dir.path());
    }

    pub(crate) fn until_up(&mut self) {
        let wall = self.wall;
        let child = &mut self.child;
        wait_for("the wall to answer", || {
            assert!(child.try_wait().expect("the process can be asked").is_none(), "huong ended at its start");
            get(wall, "/healthz").ok()
        });
    }

    /// Asks it to stop, as an operator does, and waits; true when it ended well.
    pub(crate) fn stop(&mut self) -> bool {
        terminate(&self.child);
        let child = &mut self.child;
        wait_for("huong to stop", || child.try_wait().expect("the process can be asked")).success()
    }

    /// Asks it to read its rules again.
    pub(crate) fn hang_up(&self) {
        signal(&self.child, "-HUP");
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log.txt")).unwrap_or_default()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("the process can be asked").is_none()
    }

    pub(crate) fn snapshot(&self) -> String {
        get(self.wall, "/api/snapshot").unwrap_or_default()
    }

    /// Rows of a query as CSV, without the head.
    pub(crate) fn query(&self, sql: &str) -> Vec<String> {
        let data = self.dir.path().join("store");
        let output = huong(&["query", sql, "--format", "csv", "--data", &data.display().to_string()]);
        assert!(output.status.success(), "{sql}: {}", stderr(&output));
        stdout(&output).lines().skip(1).map(str::to_owned).collect()
    }
}

impl Drop for Huong {
    /// The store of a failed test stays, to be looked at.
    #[expect(clippy::print_stderr, reason = "whoever reads of the failure must find it")]
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            self.dir.disable_cleanup(true);
            eprintln!("configuration, log and store are kept in {}", self.dir.path().display());
        }
    }
}

/// A file system in memory, for what happens when it is full.
pub(crate) struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
    fn mount(at: PathBuf, bytes: u64) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(&at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self { at });
        }
        eprintln!("SKIPPED: only root can mount a small disk");
        None
    }

    /// Leaves no byte to anyone else.
    pub(crate) fn fill(&self) {
        let ballast = std::fs::File::options().create(true).append(true).open(self.ballast()).expect("a file of the test's own");
        while (&ballast).write_all(&[1; 4096]).is_ok() {}
    }

    pub(crate) fn make_room(&self) {
        std::fs::remove_file(self.ballast()).expect("the test's own file");
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}

pub(crate) fn terminate(child: &Child) {
    signal(child, "-TERM");
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill is there");
    assert!(status.success(), "the process could not be sent {name}");
}

fn spawn(dir: &Path) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(dir.join("log.txt")).expect("a log file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_huong"));
    command.arg("run").arg("--config").arg(dir.join("huong.toml")).current_dir(root());
    command.stdout(Stdio::null()).stderr(log).spawn().expect("the binary starts")
}

/// Writes the configuration with a wall on a free port, which it gives.
fn write_config(mqtt: u16, dir: &Path, head: &str, extra: &str) -> u16 {
    let wall = free_port();
    let mut text = head.to_owned();
    for (key, name) in [("registry", "registry.toml"), ("streams", "streams.toml"), ("sources", "sources.toml"), ("pipelines", "pipelines")]
    {
        let path = dir.join(name);
        if path.exists() {
            writeln!(text, "{key} = {:?}", path.display().to_string()).expect("a string takes all");
        }
    }
    write!(
        text,
        "store.dir = {:?}\n[mqtt]\nport = {mqtt}\nretry = \"2s\"\n[wall]\nlisten = \"127.0.0.1:{wall}\"\n{extra}\n[[sink]]\nname = \"state\"\nmqtt = {{}}\n",
        dir.join("store").display().to_string()
    )
    .expect("a string takes all");
    std::fs::write(dir.join("huong.toml"), text).expect("the configuration is written");
    wall
}

/// A GET of the wall.
pub(crate) fn get(port: u16, path: &str) -> Result<String, String> {
    let response = ureq::get(format!("http://127.0.0.1:{port}{path}")).call();
    response.and_then(|mut response| response.body_mut().read_to_string()).map_err(|error| error.to_string())
}

pub(crate) fn get_bytes(port: u16, path: &str) -> Result<Vec<u8>, String> {
    let response = ureq::get(format!("http://127.0.0.1:{port}{path}")).call();
    response.and_then(|mut response| response.body_mut().read_to_vec()).map_err(|error| error.to_string())
}

/// A client that publishes and waits until the broker has it.
pub(crate) struct Publisher {
    client: Client,
    acked: Receiver<()>,
}

impl Publisher {
    pub(crate) fn connect(port: u16) -> Self {
        let mut options = MqttOptions::new(format!("test-{}", free_port()), "127.0.0.1", port);
        options.set_max_packet_size(100 << 20, 100 << 20);
        let (client, mut connection) = Client::new(options, 100);
        let (tell, acked) = mpsc::channel();
        thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::PubAck(_))) if tell.send(()).is_err() => return,
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        });
        Self { client, acked }
    }

    pub(crate) fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.client.publish(topic, QoS::AtLeastOnce, false, payload.into()).expect("the publisher runs");
        self.acked.recv_timeout(PATIENCE).expect("the broker acknowledges");
    }
}

/// What is retained under `filter`, and what comes: (topic, payload), empty payloads included.
pub(crate) fn subscribe(port: u16, filter: &str) -> Receiver<(String, String)> {
    let options = MqttOptions::new(format!("test-sub-{}", free_port()), "127.0.0.1", port);
    let (client, mut connection) = Client::new(options, 100);
    client.subscribe(filter, QoS::AtLeastOnce).expect("the subscriber runs");
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        // The client must live as long as its connection.
        let _client = client;
        for event in connection.iter() {
            match event {
                Ok(Event::Incoming(Packet::Publish(message))) => {
                    let payload = String::from_utf8_lossy(&message.payload).into_owned();
                    if tell.send((message.topic, payload)).is_err() {
                        return;
                    }
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    });
    told
}

/// An HTTP receiver of webhooks: gives each body once, answers 200.
pub(crate) fn webhook_receiver() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let tell = tell.clone();
            thread::spawn(move || serve(stream, &|body| tell.send(body).is_ok()));
        }
    });
    (port, told)
}

fn serve(mut stream: TcpStream, tell: &dyn Fn(String) -> bool) {
    let mut reader = BufReader::new(stream.try_clone().expect("a socket can be cloned"));
    loop {
        let (mut length, mut line) = (0, String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() || !tell(String::from_utf8_lossy(&body).into_owned()) {
            return;
        }
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}
