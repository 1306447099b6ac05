//! The configuration: raw files in, checked values out, every mistake of every file in one list.
//!
//! Paths are relative to the folder the program is started in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use huong_alerts::TableConfig;
use huong_evidence::{EvidenceConfig, Laws};
use huong_flight::FlightConfig;
use huong_ingest::{BrokerConfig, FolderConfig, MqttConfig, PostsConfig};
use huong_mirror::MirrorConfig;
use huong_notify::SinkConfig;
use huong_store::{QueryLimits, StoreConfig};
use huong_types::decode::{Decoder, Limits, SourceConfig};
use huong_types::{Name, Problems, Registry, Stream, load_toml};
use huong_vision::Views;
use huong_wall::{Tokens, WallConfig};
use serde::Deserialize;

use crate::brain::Brain;
use crate::push;

mod vision;

pub(crate) use vision::VisionSection;

/// `config/huong.toml` as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    /// The first level of every topic.
    prefix: String,
    registry: PathBuf,
    streams: PathBuf,
    sources: PathBuf,
    /// A folder of `*.toml`, read in name order.
    pipelines: PathBuf,
    broker: BrokerConfig,
    mqtt: MqttConfig,
    folder: Vec<FolderConfig>,
    posts: Option<PostsConfig>,
    store: StoreConfig,
    query: QueryLimits,
    flight: Option<FlightConfig>,
    vision: VisionSection,
    wall: WallConfig,
    alerts: TableConfig,
    /// People, routes, shifts and texts, for sinks that tell people.
    notify: Option<PathBuf>,
    sink: Vec<SinkConfig>,
    mirror: Option<MirrorConfig>,
    evidence: Option<EvidenceConfig>,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            prefix: "hue".to_owned(),
            registry: "config/registry.toml".into(),
            streams: "config/streams.toml".into(),
            sources: "config/sources.toml".into(),
            pipelines: "pipelines".into(),
            broker: BrokerConfig::default(),
            mqtt: MqttConfig::default(),
            folder: Vec::new(),
            posts: None,
            store: StoreConfig::new("data"),
            query: QueryLimits::default(),
            flight: None,
            vision: VisionSection::default(),
            wall: WallConfig::default(),
            alerts: TableConfig::default(),
            notify: None,
            sink: Vec::new(),
            mirror: None,
            evidence: None,
        }
    }
}

/// The name and the text of a file of rules.
pub(crate) type Pipeline = (String, String);

/// Everything read and checked.
pub(crate) struct Config {
    pub(crate) prefix: String,
    pub(crate) registry: Arc<Registry>,
    pub(crate) streams: Vec<Stream>,
    sources: (String, Vec<SourceConfig>),
    /// The folder of the pipelines.
    pub(crate) pipelines_dir: PathBuf,
    pub(crate) pipelines: Vec<Pipeline>,
    pub(crate) broker: BrokerConfig,
    pub(crate) mqtt: MqttConfig,
    pub(crate) folders: Vec<FolderConfig>,
    pub(crate) posts: Option<PostsConfig>,
    pub(crate) store: StoreConfig,
    pub(crate) query: QueryLimits,
    pub(crate) flight: Option<FlightConfig>,
    pub(crate) vision: VisionSection,
    pub(crate) views: Views,
    pub(crate) wall: WallConfig,
    pub(crate) alerts: TableConfig,
    pub(crate) notify: Option<PathBuf>,
    pub(crate) sinks: Vec<SinkConfig>,
    pub(crate) mirror: Option<MirrorConfig>,
    pub(crate) evidence: Option<EvidenceConfig>,
}

impl Config {
    /// Reads `path` and every file it names.
    ///
    /// # Errors
    /// Every mistake in any of them, at once.
    pub(crate) fn load(path: &Path) -> Result<Config, Problems> {
        let (config, problems) = Self::check(path);
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }

    /// The same with the mistakes beside it, and with warnings among them.
    pub(crate) fn check(path: &Path) -> (Config, Problems) {
        let mut problems = Problems::default();
        let config = Self::read(path, &mut problems);
        // What can be read is compiled even when something else is wrong, so that one run lists it all.
        config.brain(&mut problems);
        let decoder = config.decoder(&mut problems);
        for folder in config.folders.iter().filter(|folder| !decoder.takes(&format!("{}/x", folder.topic))) {
            let at = format!("folder `{}`.topic", folder.dir.display());
            problems.add(&path.display().to_string(), at, format!("`{}`", folder.topic), "a topic whose next level some source takes");
        }
        (config, problems)
    }

    /// Warns of those whom rules notify or escalate to and no sink tells.
    pub(crate) fn unheard(&self, path: &Path, problems: &mut Problems) {
        if self.sinks.iter().any(|sink| sink.routes.is_empty()) {
            return;
        }
        let Some(brain) = self.brain(&mut Problems::default()) else { return };
        let routes: BTreeSet<&Name> = self.sinks.iter().flat_map(|sink| &sink.routes).collect();
        let mut unheard: BTreeMap<&Name, &Name> = BTreeMap::new();
        for rule in brain.engine().rules() {
            let told = rule.notify.iter().chain(rule.escalate.iter().flat_map(|step| &step.to));
            unheard.extend(told.filter(|route| !routes.contains(route)).map(|route| (route, &rule.id)));
        }
        for (route, rule) in unheard {
            let found = format!("none with the route `{route}`, which rule `{rule}` notifies or escalates to");
            problems.warn(&path.display().to_string(), "sink", found, "a [[sink]] that takes it");
        }
    }

    /// The first level of every topic and the broker, for a process that needs no more.
    ///
    /// # Errors
    /// When the file cannot be read, and with every mistake in what is asked of it.
    pub(crate) fn broker(path: &Path) -> Result<(String, MqttConfig), Problems> {
        let mut problems = Problems::default();
        let file = path.display().to_string();
        let raw: Option<Raw> = text(path, &mut problems).and_then(|text| load_toml(&file, &text, &mut problems));
        let Some(mut raw) = raw else { return Err(problems) };
        if raw.broker.embedded {
            (raw.mqtt.host, raw.mqtt.port) = (raw.broker.listen.ip().to_string(), raw.broker.listen.port());
        }
        raw.mqtt.check(&file, "mqtt", &mut problems);
        if problems.is_empty() { Ok((raw.prefix, raw.mqtt)) } else { Err(problems) }
    }

    /// Where the store is and what a query may use, whatever else is wrong in the file or on this machine.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn store(path: &Path) -> Result<(PathBuf, QueryLimits), Problems> {
        let mut problems = Problems::default();
        let Some(text) = text(path, &mut problems) else { return Err(problems) };
        let mut passed_over = Problems::default();
        let raw: Raw = load_toml(&path.display().to_string(), &text, &mut passed_over).unwrap_or_default();
        Ok((raw.store.dir, raw.query))
    }

    /// Where the evidence is and how it is kept, whatever else is wrong in the file or on this machine.
    ///
    /// # Errors
    /// When the file cannot be read, or its section holds a mistake.
    pub(crate) fn evidence(path: &Path) -> Result<EvidenceConfig, Problems> {
        let mut problems = Problems::default();
        let Some(text) = text(path, &mut problems) else { return Err(problems) };
        let file = path.display().to_string();
        let raw: Raw = load_toml(&file, &text, &mut problems).unwrap_or_default();
        problems.list.retain(|problem| problem.path.starts_with("evidence"));
        let Some(evidence) = raw.evidence else {
            problems.add(&file, "evidence", "nothing", "an [evidence] section");
            return Err(problems);
        };
        evidence.check(&file, "evidence", &mut problems);
        if problems.is_empty() { Ok(evidence) } else { Err(problems) }
    }

    /// Where the store is, and every file that the configuration is made of; secrets are in files of their own and not among them.
    ///
    /// # Errors
    /// When the file or the folder of pipelines cannot be read: a backup of another store would be worse than none.
    pub(crate) fn files(path: &Path) -> Result<(PathBuf, Vec<PathBuf>), Problems> {
        let mut problems = Problems::default();
        let raw: Option<Raw> = text(path, &mut problems).and_then(|text| load_toml(&path.display().to_string(), &text, &mut problems));
        let Some(raw) = raw else { return Err(problems) };
        let pipelines = read_pipelines(std::slice::from_ref(&raw.pipelines), &mut problems).into_iter().map(|(file, _)| file.into());
        let mut files = vec![path.to_owned(), raw.registry, raw.streams, raw.sources];
        files.extend(raw.vision.views);
        files.extend(raw.notify);
        files.extend(raw.evidence.map(|evidence| evidence.laws));
        files.extend(pipelines);
        if problems.is_empty() { Ok((raw.store.dir, files)) } else { Err(problems) }
    }

    fn read(path: &Path, problems: &mut Problems) -> Config {
        let file = path.display().to_string();
        let raw: Raw = text(path, problems).and_then(|text| load_toml(&file, &text, problems)).unwrap_or_default();
        if raw.prefix.is_empty() || raw.prefix.contains(['/', '+', '#', ' ']) {
            problems.add(&file, "prefix", format!("`{}`", raw.prefix), "one topic level, such as `hue`");
        }
        raw.broker.check(&file, "broker", problems);
        raw.mqtt.check(&file, "mqtt", problems);
        for (i, folder) in raw.folder.iter().enumerate() {
            folder.check(&file, &format!("folder[{i}]"), problems);
        }
        if let Some(posts) = &raw.posts {
            posts.check(&file, "posts", problems);
            if !raw.folder.iter().any(|folder| folder.dir == posts.dir) {
                problems.add(
                    &file,
                    "posts.dir",
                    format!("`{}`", posts.dir.display()),
                    "the dir of a [[folder]], which reads what is kept there",
                );
            }
        }
        raw.store.check(&file, "store", problems);
        raw.query.check(&file, "query", problems);
        raw.wall.check(&file, "wall", problems);
        if let Some(flight) = &raw.flight {
            // Tokens that cannot be read are told of above.
            let has_tokens = Tokens::load(&raw.wall).map_or(true, |tokens| !tokens.is_empty());
            flight.check(has_tokens, &file, "flight", problems);
        }
        raw.alerts.check(&file, "alerts", problems);
        SinkConfig::check_all(&raw.sink, &file, "sink", problems);
        push::read(raw.notify.as_deref(), text, problems);
        for (i, _) in raw.sink.iter().enumerate().filter(|(_, sink)| raw.notify.is_none() && sink.tells_people()) {
            problems.add(&file, format!("sink[{i}]"), "no `notify`", "the file of people, routes and shifts");
        }
        if let Some(mirror) = &raw.mirror {
            mirror.check(&file, "mirror", problems);
        }
        if let Some(evidence) = &raw.evidence {
            evidence.check(&file, "evidence", problems);
            let laws = text(&evidence.laws, problems).unwrap_or_default();
            Laws::parse(&evidence.laws.display().to_string(), &laws, problems);
        }
        raw.vision.check(&file, problems);
        let read = |path: &Path, problems: &mut Problems| (path.display().to_string(), text(path, problems).unwrap_or_default());
        let (name, content) = read(&raw.registry, problems);
        let registry = Arc::new(Registry::parse(&name, &content, problems));
        let (name, content) = read(&raw.streams, problems);
        let streams = Stream::parse_all(&name, &content, problems);
        let (name, content) = read(&raw.sources, problems);
        let sources = SourceConfig::parse_all(&name, &content, problems);
        let views = raw.vision.views.as_deref().map(|path| read(path, problems));
        let views = views.map(|(name, content)| Views::parse(&name, &content, &registry, problems)).unwrap_or_default();
        let mut config = Config {
            registry,
            views,
            streams,
            sources: (name, sources),
            pipelines: read_pipelines(std::slice::from_ref(&raw.pipelines), problems),
            pipelines_dir: raw.pipelines,
            broker: raw.broker,
            mqtt: raw.mqtt,
            posts: raw.posts,
            folders: raw.folder.into_iter().map(|folder| folder.under(&raw.prefix)).collect(),
            store: raw.store,
            query: raw.query,
            flight: raw.flight,
            vision: raw.vision,
            evidence: raw.evidence,
            wall: raw.wall,
            alerts: raw.alerts,
            notify: raw.notify,
            sinks: raw.sink,
            mirror: raw.mirror,
            prefix: raw.prefix,
        };
        if config.broker.embedded {
            config.embed_broker(config.broker.listen);
        }
        config
    }

    /// Embeds a broker at `listen` and connects to it: whatever `[mqtt]` says of host and port gives way.
    pub(crate) fn embed_broker(&mut self, listen: SocketAddr) {
        self.broker.embedded = true;
        self.broker.listen = listen;
        self.mqtt.host = listen.ip().to_string();
        self.mqtt.port = listen.port();
    }

    /// Compiles the pipelines.
    pub(crate) fn brain(&self, problems: &mut Problems) -> Option<Brain> {
        Brain::new(&self.pipelines, &self.streams, &self.registry, &self.alerts, problems)
    }

    /// Compiles the sources.
    pub(crate) fn decoder(&self, problems: &mut Problems) -> Decoder {
        let (file, sources) = &self.sources;
        let limits = Limits { payload: self.mqtt.max_payload, items: self.mqtt.max_items };
        Decoder::compile(file, sources, &self.prefix, &self.streams, Arc::clone(&self.registry), problems).with_limits(limits)
    }
}

/// Every pipeline in the files and folders given, in name order within a folder.
pub(crate) fn read_pipelines(paths: &[PathBuf], problems: &mut Problems) -> Vec<Pipeline> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = fs::read_dir(path).map(|entries| entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>());
        let mut found = entries.unwrap_or_default();
        found.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        found.sort();
        if found.is_empty() {
            problems.add(&path.display().to_string(), "(folder)", "no *.toml", "at least one pipeline");
        }
        files.append(&mut found);
    }
    files.iter().filter_map(|path| Some((path.display().to_string(), text(path, problems)?))).collect()
}

/// `pipelines` with what the files of `given` hold, and the ids found in those: rules and derivations of the same id give way to them,
/// the others stay.
///
/// # Errors
/// When a file of `given` is no TOML.
pub(crate) fn overlay(pipelines: &[Pipeline], given: &[Pipeline]) -> Result<(Vec<Pipeline>, BTreeSet<String>), Problems> {
    let mut problems = Problems::default();
    let mut ids: BTreeSet<String> = BTreeSet::new();
    for (file, text) in given {
        let table = load_toml::<toml::Table>(file, text, &mut problems).unwrap_or_default();
        ids.extend(entries(&table).filter_map(|entry| entry.get("id")?.as_str().map(str::to_owned)));
    }
    let mut all = Vec::new();
    for (file, text) in pipelines.iter().filter(|(file, _)| given.iter().all(|(other, _)| other != file)) {
        let mut table = load_toml::<toml::Table>(file, text, &mut problems).unwrap_or_default();
        let replaced = |entry: &toml::Value| entry.get("id").and_then(toml::Value::as_str).is_some_and(|id| ids.contains(id));
        if !entries(&table).any(replaced) {
            all.push((file.clone(), text.clone()));
            continue;
        }
        for list in table.iter_mut().filter_map(|(_, value)| value.as_array_mut()) {
            list.retain(|entry| !replaced(entry));
        }
        all.push((file.clone(), table.to_string()));
    }
    all.extend_from_slice(given);
    if problems.is_empty() { Ok((all, ids)) } else { Err(problems) }
}

/// Every `[[rule]]` and `[[derive]]`.
fn entries(table: &toml::Table) -> impl Iterator<Item = &toml::Value> {
    table.values().filter_map(toml::Value::as_array).flatten()
}

fn text(path: &Path, problems: &mut Problems) -> Option<String> {
    match fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) => {
            problems.add(&path.display().to_string(), "(file)", error.to_string(), "a readable file");
            None
        }
    }
}
