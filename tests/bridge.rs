//! `huong camera-bridge` between real sources and a real broker: an RTSP server, an HTTP stream, a folder.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use tempfile::TempDir;

use crate::support::{Huong, Mosquitto, PATIENCE, end, free_port, get_bytes, huong, root, stderr, terminate, wait_for};

const PASSWORD: &str = "s3cr:t@/x";

/// A child that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

/// A bridge with a list of cameras of its own.
struct Bridge {
    process: Process,
    dir: TempDir,
}

impl Bridge {
    fn start(mqtt: u16, list: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder for the bridge");
        std::fs::write(dir.path().join("password"), format!("{PASSWORD}\n")).expect("it is written");
        std::fs::write(dir.path().join("huong.toml"), format!("[mqtt]\nport = {mqtt}\nretry = \"1s\"\n")).expect("it is written");
        let list = list.replace("PASSWORD_FILE", &dir.path().join("password").display().to_string());
        std::fs::write(dir.path().join("cameras.toml"), format!("retry = \"1s\"\nstatus_every = \"1s\"\n{list}")).expect("it is written");
        let log = std::fs::File::create(dir.path().join("log.txt")).expect("a log file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_huong"));
        command.arg("camera-bridge").arg("--list").arg(dir.path().join("cameras.toml"));
        command.arg("--config").arg(dir.path().join("huong.toml")).current_dir(root());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("the binary starts");
        Self { process: Process(child), dir }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log.txt")).unwrap_or_default()
    }

    /// The arguments of the bridge and of what it started, as anybody on the machine can read them.
    fn arguments(&self) -> Vec<String> {
        let me = self.process.0.id().to_string();
        let of = |pid: &str, file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let entries = std::fs::read_dir("/proc").expect("a Linux");
        let pids = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        // The fourth field of stat is the parent, and a name in brackets without spaces comes before it.
        let mine = pids.filter(|pid| *pid == me || of(pid, "stat").split(' ').nth(3) == Some(&me));
        mine.map(|pid| of(&pid, "cmdline").replace('\0', " ")).collect()
    }

    fn stop(mut self) {
        terminate(&self.process.0);
        let child = &mut self.process.0;
        let status = wait_for("the bridge to stop", || child.try_wait().expect("the process can be asked"));
        assert!(status.success(), "{}", self.log());
    }
}

/// What comes under `filter` from now on, once the broker has the subscription.
fn listen(broker: &Mosquitto, filter: &str) -> Receiver<(String, Vec<u8>)> {
    let mut options = MqttOptions::new(format!("test-listen-{}", free_port()), "127.0.0.1", broker.port);
    options.set_max_packet_size(16 << 20, 16 << 20);
    let (client, mut connection) = Client::new(options, 100);
    client.subscribe(filter, QoS::AtMostOnce).expect("the subscriber runs");
    let (tell, told) = mpsc::channel();
    let (ready, is_ready) = mpsc::channel();
    thread::spawn(move || {
        // The client must live as long as its connection.
        let _client = client;
        for event in connection.iter() {
            let gone = match event {
                Ok(Event::Incoming(Packet::SubAck(_))) => ready.send(()).is_err(),
                Ok(Event::Incoming(Packet::Publish(message))) => tell.send((message.topic, message.payload.to_vec())).is_err(),
                Ok(_) => false,
                Err(_) => true,
            };
            if gone {
                return;
            }
        }
    });
    is_ready.recv_timeout(PATIENCE).expect("the broker takes the subscription");
    told
}

/// Pictures of ffmpeg's moving test card.
fn drawn(dir: &Path, count: usize) -> Vec<PathBuf> {
    let pattern = dir.join("%03d.jpg");
    let mut command = Command::new("ffmpeg");
    command.args(["-loglevel", "error", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=5", "-frames:v", &count.to_string()]).arg(pattern);
    assert!(command.stdin(Stdio::null()).status().expect("ffmpeg is installed (make test does it)").success());
    (1..=count).map(|i| dir.join(format!("{i:03}.jpg"))).collect()
}

fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xFF, 0xD8]) && bytes.ends_with(&[0xFF, 0xD9])
}

#[test]
fn a_folder_is_played_once_in_order_and_the_newest_picture_arrives() {
    let broker = Mosquitto::start();
    let frames = listen(&broker, "hue/cameras/cam-001/frame/+");
    let dir = tempfile::tempdir().expect("a folder");
    let files = drawn(dir.path(), 12);
    std::fs::write(dir.path().join("002.jpg"), b"no picture").expect("it is written");
    std::fs::write(dir.path().join("note.txt"), b"not looked at").expect("it is written");
    let config = dir.path().join("huong.toml");
    // The other tests speak MQTT 5.
    std::fs::write(&config, format!("[mqtt]\nport = {}\nprotocol = \"3.1.1\"\n", broker.port)).expect("it is written");
    let path = |path: &Path| path.display().to_string();
    let output = huong(&[
        "camera-bridge",
        "--folder",
        &path(dir.path()),
        "--camera",
        "cam-001",
        "--fps",
        "20",
        "--once",
        "--config",
        &path(&config),
    ]);
    assert!(output.status.success(), "{}", stderr(&output));

    let last = std::fs::read(&files[11]).expect("a drawn picture");
    let mut came = Vec::new();
    while came.last() != Some(&last) {
        came.push(frames.recv_timeout(PATIENCE).expect("the last picture comes").1);
    }
    assert!(came.iter().all(|picture| is_jpeg(picture)), "what is no picture is not sent");
    // Some may have been replaced by newer ones, none is out of order.
    let mut expected = files.iter().map(|file| std::fs::read(file).expect("a drawn picture"));
    assert!(came.iter().all(|picture| expected.any(|file| file == *picture)), "{} pictures", came.len());
}

#[test]
fn an_rtsp_camera_that_goes_away_is_told_of_and_comes_back() {
    let broker = Mosquitto::start();
    let (frames, states) = (listen(&broker, "hue/cameras/cam-007/frame/+"), listen(&broker, "hue/bridge/cameras/cam-007"));
    let port = free_port();
    let serve = || {
        let mut command = Command::new("/usr/bin/python3");
        command.arg(root().join("tests/fixtures/rtsp_server.py")).args([&port.to_string(), "viewer", PASSWORD]);
        let server = Process(command.spawn().expect("python3 is there"));
        wait_for("the RTSP server", || TcpStream::connect(("127.0.0.1", port)).ok());
        server
    };
    let server = serve();
    let bridge = Bridge::start(
        broker.port,
        &format!(
            "[[camera]]\nid = \"cam-007\"\nfps = 5\nwidth = 320\nrtsp = \"rtsp://127.0.0.1:{port}/cam\"\nuser = \"viewer\"\npassword_file = \"PASSWORD_FILE\"\n"
        ),
    );
    let mut times = Vec::new();
    for _ in 0..10 {
        let (topic, picture) = frames.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no picture: {}", bridge.log()));
        assert!(is_jpeg(&picture), "{} bytes", picture.len());
        times.push(topic.rsplit('/').next().and_then(|time| time.parse::<i64>().ok()).expect("the time of the picture"));
    }
    // Ten a second come, five are asked for; the first may be early by an interval and a quarter.
    assert!(times[9] - times[0] >= 9 * 200 - 250, "{times:?}");
    let secrets = [PASSWORD, "s3cr%3At%40%2Fx"];
    let arguments = bridge.arguments();
    assert!(arguments.iter().any(|line| line.starts_with("ffmpeg ")), "{arguments:?}");
    assert!(!arguments.iter().any(|line| secrets.iter().any(|secret| line.contains(secret))), "{arguments:?}");

    let until = |connected: u8| loop {
        let (_, state) = states.recv_timeout(PATIENCE).expect("states come");
        let state: serde_json::Value = serde_json::from_slice(&state).expect("a state is JSON");
        if state["connected"] == connected {
            return state;
        }
    };
    until(1);
    drop(server);
    until(0);
    wait_for("the reason", || bridge.log().contains("no pictures: the stream ended").then_some(()));
    while frames.try_recv().is_ok() {}
    let _server = serve();
    assert!(is_jpeg(&frames.recv_timeout(PATIENCE).expect("pictures come again").1));
    assert_eq!(until(1)["camera"], "cam-007");
    let log = bridge.log();
    assert!(!secrets.iter().any(|secret| log.contains(secret)), "{log}");
    bridge.stop();
}

#[test]
fn an_http_stream_reaches_the_wall_and_the_store() {
    let broker = Mosquitto::start();
    let mut huong = Huong::start(broker.port, "[vision]\nenabled = false").connected();
    let port = free_port();
    let mut command = Command::new("ffmpeg");
    command.args(["-loglevel", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=10", "-c:v", "mjpeg", "-f", "mpjpeg"]);
    command.args(["-listen", "1", &format!("http://127.0.0.1:{port}/cam")]);
    let _server = Process(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("ffmpeg is installed"));
    let bridge = Bridge::start(broker.port, &format!("[[camera]]\nid = \"cam-003\"\nfps = 2\nmjpeg = \"http://127.0.0.1:{port}/cam\"\n"));
    let picture = wait_for("a picture on the wall", || get_bytes(huong.wall, "/api/cameras/cam-003/frame").ok());
    assert!(is_jpeg(&picture));
    let sql = "SELECT count(*) FROM readings WHERE stream = 'cameras' AND key = 'cam-003' AND field = 'connected' AND value = 1";
    wait_for("the state in the store", || (huong.query(sql) != ["0"]).then_some(()));
    bridge.stop();
    assert!(huong.stop());
}

#[test]
fn a_stream_that_stalls_is_opened_anew_and_the_others_go_on() {
    let broker = Mosquitto::start();
    let frames = listen(&broker, "hue/cameras/cam-002/frame/+");
    // Takes connections and never answers.
    let mute = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let port = mute.local_addr().expect("a bound socket has an address").port();
    let dir = tempfile::tempdir().expect("a folder");
    drawn(dir.path(), 2);
    let bridge = Bridge::start(
        broker.port,
        &format!(
            "stalled_after = \"1s\"\n[[camera]]\nid = \"cam-001\"\nfps = 5\nrtsp = \"rtsp://127.0.0.1:{port}/cam\"\n[[camera]]\nid = \"cam-002\"\nfps = 5\nfolder = {:?}\n",
            dir.path().display().to_string()
        ),
    );
    let _first = mute.accept().expect("the bridge connects");
    wait_for("the stall to be told of", || bridge.log().contains("no pictures: no picture for 1 s").then_some(()));
    let _second = mute.accept().expect("the bridge connects again");
    while frames.try_recv().is_ok() {}
    frames.recv_timeout(PATIENCE).expect("the folder's pictures still come");
    bridge.stop();
}

#[test]
fn an_address_with_a_password_is_refused_without_showing_it() {
    let output = huong(&["camera-bridge", "--rtsp", "rtsp://bob:hunter2@127.0.0.1/s", "--camera", "cam-001"]);
    assert!(!output.status.success());
    let said = stderr(&output);
    assert!(said.contains("camera[0].rtsp: found a user in the address"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn pictures_come_again_after_the_broker_was_away() {
    let mut broker = Mosquitto::start();
    let dir = tempfile::tempdir().expect("a folder");
    drawn(dir.path(), 3);
    let bridge =
        Bridge::start(broker.port, &format!("[[camera]]\nid = \"cam-005\"\nfps = 10\nfolder = {:?}\n", dir.path().display().to_string()));
    let first = listen(&broker, "hue/cameras/cam-005/frame/+");
    first.recv_timeout(PATIENCE).expect("pictures come");
    broker.restart();
    let again = listen(&broker, "hue/cameras/cam-005/frame/+");
    again.recv_timeout(PATIENCE).expect("pictures come again");
    bridge.stop();
}
