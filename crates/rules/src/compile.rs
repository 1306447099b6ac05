//! From rules as written to rules that run: every mistake is found here, at load, with its file and path.

mod shape;
mod source;
mod task;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use huong_types::{Name, Origin, Problems, Registry, RuleInfo, Stream, Timestamp, load_toml};

use crate::board::Board;
use crate::derive::Derive;
use crate::engine::Engine;
use crate::expr::{Compiler, Kind};
use crate::group::{By, Group};
use crate::rule::Rule;
use crate::rule_file::{Fact, RawDerive, RawRule, RuleFile};
use crate::sensor::Facts;
use crate::stream::{StreamEngine, World};

use self::source::Plans;

/// Everything written, and where.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    pub(crate) rules: Vec<(String, RawRule)>,
    pub(crate) derives: Vec<(String, RawDerive)>,
}

pub(crate) fn load(pipelines: &[(String, String)], problems: &mut Problems) -> Written {
    let mut written = Written::default();
    for (file, text) in pipelines {
        let RuleFile { rule, derive } = load_toml::<RuleFile>(file, text, problems).unwrap_or_default();
        written.rules.extend(rule.into_iter().map(|rule| (file.clone(), rule)));
        written.derives.extend(derive.into_iter().map(|derive| (file.clone(), derive)));
    }
    check_ids(&written, problems);
    written
}

/// What the rules of one stream are compiled into.
pub(crate) struct Bench {
    pub(crate) columns: Arc<[(Name, Kind)]>,
    pub(crate) groups: Vec<Plans>,
    rules: Vec<Rule>,
    derives: Vec<Derive>,
}

/// What all compilations share.
pub(crate) struct Shop<'a> {
    pub(crate) compiler: Compiler,
    pub(crate) streams: &'a [Stream],
    pub(crate) registry: &'a Registry,
    pub(crate) facts: Facts,
    /// Names of levels and labels, those of rule tests too.
    pub(crate) levels: BTreeSet<Name>,
    pub(crate) links: BTreeSet<Name>,
    pub(crate) columns: Vec<Arc<[(Name, Kind)]>>,
    /// Streams that are joined from.
    pub(crate) joined: BTreeSet<usize>,
    pub(crate) patterns: usize,
}

pub(crate) fn compile_rules(written: &Written, streams: &[Stream], registry: &Arc<Registry>, problems: &mut Problems) -> Option<Engine> {
    let (levels, labels, links) = fact_names(registry, written);
    let mut shop = Shop {
        compiler: Compiler::new(&registry.zones),
        streams,
        registry,
        facts: Facts::new(&levels.iter().cloned().collect::<Vec<_>>(), &labels.into_iter().collect::<Vec<_>>()),
        levels,
        links,
        columns: streams.iter().map(columns_of).collect(),
        joined: BTreeSet::new(),
        patterns: 0,
    };
    let mut benches: Vec<Bench> = shop
        .columns
        .iter()
        .map(|columns| Bench { columns: Arc::clone(columns), groups: vec![Plans::new(By::Key)], rules: Vec::new(), derives: Vec::new() })
        .collect();
    let mut infos: Vec<RuleInfo> = Vec::new();
    for (file, raw) in &written.rules {
        let Some(stream) = shop.stream(file, &format!("rule `{}`.from", raw.id), &raw.from, problems) else { continue };
        if let Some(rule) = task::rule(&mut shop, &mut benches[stream], stream, file, raw, problems) {
            infos.push(rule.info.clone());
            benches[stream].rules.push(rule);
        }
    }
    let mut flows: Vec<(usize, usize, &Name)> = Vec::new();
    for (file, raw) in &written.derives {
        let Some(stream) = shop.stream(file, &format!("derive `{}`.from", raw.id), &raw.from, problems) else { continue };
        if let Some((derive, into)) = task::derive(&mut shop, &mut benches[stream], stream, file, raw, problems) {
            flows.push((stream, into, &raw.id));
            benches[stream].derives.push(derive);
        }
    }
    check_circles(&flows, written, problems);
    if !problems.is_empty() {
        return None;
    }
    let mut board = Board::new(streams.len(), shop.patterns);
    let rows = registry.stations.len() + registry.cameras.len();
    shop.joined.iter().for_each(|stream| board.keep(*stream, streams[*stream].most_unknown_keys as usize + rows));
    let made = benches.into_iter().zip(streams).map(|(bench, spec)| {
        let groups = bench.groups.into_iter().enumerate();
        let finish = |(place, plans): (usize, Plans)| plans.finish(place, &bench.columns, &bench.rules, &bench.derives, spec.events);
        let groups: Vec<Group> = groups.map(finish).collect();
        StreamEngine::new(spec.clone(), bench.columns, groups, bench.rules, bench.derives)
    });
    let made = made.collect();
    let Shop { facts, .. } = shop;
    let world = World { registry: Arc::clone(registry), facts, board, exercise: false, watch: None, started: Timestamp::MAX };
    Some(Engine::new(infos, made, world))
}

impl Shop<'_> {
    /// The position of a stream, or a problem.
    pub(crate) fn stream(&self, file: &str, path: &str, id: &Name, problems: &mut Problems) -> Option<usize> {
        let found = self.streams.iter().position(|stream| stream.id == *id);
        if found.is_none() {
            let known = self.streams.iter().map(|s| s.id.as_str()).collect::<Vec<_>>().join(", ");
            problems.add(file, path, format!("`{id}`"), format!("a stream: {known}"));
        }
        found
    }
}

/// The fields of a stream, then its key.
fn columns_of(stream: &Stream) -> Arc<[(Name, Kind)]> {
    let fields = stream.fields.iter().map(|(name, spec)| (name.clone(), if spec.text { Kind::Text } else { Kind::Number }));
    fields.chain([(Name::new("key"), Kind::Text)]).collect()
}

/// What rules may call `station.<name>`: the facts of the registry and those that rule tests declare, so that a registry without,
/// say, reservoirs still runs a file with rules for them.
fn fact_names(registry: &Registry, written: &Written) -> (BTreeSet<Name>, BTreeSet<Name>, BTreeSet<Name>) {
    let mut levels: BTreeSet<Name> = registry.level_names().into_iter().collect();
    let mut labels: BTreeSet<Name> = registry.label_names().into_iter().collect();
    let rows = registry.stations.iter().map(|s| &s.links).chain(registry.cameras.iter().map(|c| &c.links));
    let mut links: BTreeSet<Name> = rows.flat_map(BTreeMap::keys).cloned().collect();
    let tests = written.rules.iter().flat_map(|(_, rule)| &rule.test).chain(written.derives.iter().flat_map(|(_, derive)| &derive.test));
    for test in tests {
        for (name, fact) in test.station.iter().chain(test.stations.values().flatten()) {
            match fact {
                Fact::Number(_) => levels.insert(name.clone()),
                Fact::Text(_) => labels.insert(name.clone()),
            };
        }
        links.extend(test.links.keys().cloned());
    }
    // A name cannot be both; the number was there first. Position, kind and ward of a row are always known.
    labels.retain(|name| !levels.contains(name) && !["lat", "lon", "kind", "ward"].contains(&name.as_str()));
    levels.retain(|name| !["lat", "lon", "kind", "ward"].contains(&name.as_str()));
    (levels, labels, links)
}

/// Duplicate ids, inhibited rules that do not exist, rules that hide each other.
fn check_ids(written: &Written, problems: &mut Problems) {
    let mut first: HashMap<&Name, (&String, Option<&RawRule>)> = HashMap::new();
    let rules = written.rules.iter().map(|(file, rule)| ("rule", file, &rule.id, Some(rule)));
    let derives = written.derives.iter().map(|(file, derive)| ("derive", file, &derive.id, None));
    for (what, file, id, rule) in rules.chain(derives) {
        match first.get(id) {
            Some((other, _)) => {
                problems.add(file, format!("{what} `{id}`.id"), format!("`{id}` again"), format!("an id unlike that in {other}"));
            }
            None => {
                first.insert(id, (file, rule));
            }
        }
    }
    let rules: HashMap<&Name, &RawRule> = first.iter().filter_map(|(id, (_, rule))| Some((*id, (*rule)?))).collect();
    for (file, rule) in &written.rules {
        for hidden in &rule.inhibits {
            let path = format!("rule `{}`.inhibits", rule.id);
            match rules.get(hidden) {
                None => problems.add(file, path, format!("`{hidden}`"), "the id of a rule"),
                Some(other) if hides(other, &rule.id, &rules, &mut BTreeSet::new()) => {
                    problems.add(file, path, format!("`{hidden}`, which hides this rule in turn"), "no circle");
                }
                Some(_) => {}
            }
        }
    }
}

fn hides<'a>(from: &'a RawRule, id: &Name, rules: &HashMap<&'a Name, &'a RawRule>, seen: &mut BTreeSet<&'a Name>) -> bool {
    from.id == *id
        || (seen.insert(&from.id) && from.inhibits.iter().any(|next| rules.get(next).is_some_and(|next| hides(next, id, rules, seen))))
}

/// Streams that derive from each other in a circle would never come to rest.
fn check_circles(flows: &[(usize, usize, &Name)], written: &Written, problems: &mut Problems) {
    let reaches = |from: usize, to: usize| {
        let (mut seen, mut front) = (BTreeSet::from([from]), vec![from]);
        while let Some(at) = front.pop() {
            for (_, next, _) in flows.iter().filter(|(a, ..)| *a == at) {
                if *next == to {
                    return true;
                }
                if seen.insert(*next) {
                    front.push(*next);
                }
            }
        }
        false
    };
    for (from, into, id) in flows {
        if from == into || reaches(*into, *from) {
            let Some((file, raw)) = written.derives.iter().find(|(_, derive)| derive.id == **id) else { continue };
            problems.add(
                file,
                format!("derive `{id}`.into"),
                format!("`{}`, from which `{}` derives in turn", raw.into, raw.from),
                "no circle",
            );
        }
    }
}

pub(crate) fn is_derived(stream: &Stream) -> bool {
    stream.origin == Origin::Derived
}
