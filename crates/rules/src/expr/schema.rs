//! The columns an expression may name, and where in a row each one lives.
//!
//! Invariant: names are unique; `station.x`, `limit.x` and the like are whole names, never mistaken for an own column `x`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use datafusion::common::{DFSchema, DFSchemaRef};
use huong_types::Name;

use super::Kind;

/// The name under which rules see the registry row.
const STATION: &str = "station";

/// The slice of a [`super::Row`] a column lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Own,
    Facts,
    Extra,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) part: Part,
    pub(crate) index: usize,
}

/// Cloning one costs a reference count.
#[derive(Clone, Debug)]
pub(crate) struct Schema(Arc<Columns>);

#[derive(Debug)]
struct Columns {
    own: Vec<(Name, Kind)>,
    facts: Arc<[(Name, Kind)]>,
    extra: Vec<(String, Kind)>,
    all: Vec<Column>,
    by_name: HashMap<String, usize>,
    planned: DFSchemaRef,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) place: Place,
}

impl Schema {
    /// `own` columns, `facts` of the registry row (levels and labels, named without `station.`) and `extra` ones by their whole names
    /// (`limit.warn`, `up.q_out`). Fails when two have one name.
    pub(crate) fn new(own: Vec<(Name, Kind)>, facts: Arc<[(Name, Kind)]>, extra: Vec<(String, Kind)>) -> Result<Self, String> {
        let column = |part, (index, (name, kind)): (usize, (String, Kind))| Column { name, kind, place: Place { part, index } };
        let owned = own.iter().map(|(name, kind)| (name.as_str().to_owned(), *kind)).enumerate();
        let known = facts.iter().map(|(name, kind)| (format!("{STATION}.{name}"), *kind)).enumerate();
        let others = extra.iter().map(|(name, kind)| (name.clone(), *kind)).enumerate();
        let all: Vec<Column> = (owned.map(|c| column(Part::Own, c)))
            .chain(known.map(|c| column(Part::Facts, c)))
            .chain(others.map(|c| column(Part::Extra, c)))
            .collect();
        let mut seen = HashSet::new();
        if let Some(twice) = all.iter().find(|c| !seen.insert(c.name.as_str())) {
            return Err(format!("two columns of the name `{}`", twice.name));
        }
        let by_name = all.iter().enumerate().map(|(i, c)| (c.name.clone(), i)).collect();
        let planned = DFSchema::try_from(arrow(&all)).map_err(|e| e.strip_backtrace())?;
        Ok(Self(Arc::new(Columns { own, facts, extra, all, by_name, planned: Arc::new(planned) })))
    }

    pub(crate) fn own(&self) -> &[(Name, Kind)] {
        &self.0.own
    }

    /// Every name, for messages.
    pub(crate) fn listed(&self) -> String {
        self.0.all.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The same facts and extras beside other own columns.
    pub(crate) fn with_own(&self, own: Vec<(Name, Kind)>) -> Result<Self, String> {
        Self::new(own, Arc::clone(&self.0.facts), self.0.extra.clone())
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.0.all
    }

    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.0.by_name.get(name).map(|i| &self.0.all[*i])
    }

    /// The name of the column at a place, for explanations.
    pub(crate) fn name(&self, place: Place) -> &str {
        let first = match place.part {
            Part::Own => 0,
            Part::Facts => self.0.own.len(),
            Part::Extra => self.0.own.len() + self.0.facts.len(),
        };
        self.0.all.get(first + place.index).map_or("", |c| &c.name)
    }

    /// As DataFusion sees it.
    pub(crate) fn planned(&self) -> &DFSchemaRef {
        &self.0.planned
    }
}

/// Columns as Arrow sees them: nullable, numbers as Float64, texts as Utf8.
pub(crate) fn arrow(columns: &[Column]) -> ArrowSchema {
    let field = |column: &Column| {
        let kind = match column.kind {
            Kind::Number => DataType::Float64,
            Kind::Text => DataType::Utf8,
        };
        Field::new(&column.name, kind, true)
    };
    ArrowSchema::new(columns.iter().map(field).collect::<Vec<_>>())
}
