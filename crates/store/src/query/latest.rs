//! The newest readings of keys that a start's replay does not reach. Invariant: bounded by the time looked back and by the limits of any query.

use std::collections::{BTreeMap, BTreeSet};

use huong_types::{Name, Origin, Reading, Timestamp};

use super::history::{coded, quoted};
use super::{Asker, Queries};
use crate::StoreError;
use crate::restore::{self, Names};

impl Queries {
    /// The newest reading since `since`, by time of the event, of each of `wanted` (stream and key) that has one.
    pub async fn latest(&self, asker: Asker, wanted: &BTreeSet<(Name, Name)>, since: Timestamp) -> Result<Vec<Reading>, StoreError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let mut rows = Vec::new();
        for batch in self.ask(asker, sql(wanted, since)).await?.gather().await? {
            restore::readings(&batch, Origin::Sensor, Timestamp::MIN, &mut Names::new(), &mut rows)?;
        }
        Ok(rows.into_iter().map(|(_, reading)| reading).collect())
    }
}

fn sql(wanted: &BTreeSet<(Name, Name)>, since: Timestamp) -> String {
    let mut streams: BTreeMap<&Name, Vec<String>> = BTreeMap::new();
    for (stream, key) in wanted {
        streams.entry(stream).or_default().push(quoted(key));
    }
    let places = streams.iter().map(|(stream, keys)| format!("stream = {} AND key IN ({})", quoted(stream), keys.join(", ")));
    let places = places.collect::<Vec<_>>().join(" OR ");
    format!(
        "WITH w AS (SELECT * FROM readings WHERE at >= TIMESTAMP '{since}' AND ({places})) \
         SELECT r.seq, r.at, r.received, r.value, r.text, r.orphan, {} \
         FROM w r JOIN (SELECT stream, key, max(at) AS at FROM w GROUP BY stream, key) l ON r.stream = l.stream AND r.key = l.key AND r.at = l.at \
         ORDER BY r.seq",
        coded()
    )
}
