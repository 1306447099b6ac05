//! The aggregate calls of a `select`: each becomes a column of the row the rest is evaluated on.
//!
//! Invariant: a call's column is named as it is written, `max(value)`, so equal calls are one column.

use datafusion::sql::sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, UnaryOperator, Value};
use huong_types::Name;

use super::sql::{parse, quoted, whole_name};
use super::{Aggregate, Call, Kind, Schema, functions};

/// Beside [`Aggregate::NAMED`].
const OTHERS: [&str; 5] = ["percentile", "median", TIME_TO, TIME_TO_LOW, TIME_TO_HIGH];
const TIME_TO: &str = "time_to";
const TIME_TO_LOW: &str = "time_to_low";
const TIME_TO_HIGH: &str = "time_to_high";

/// Every function over a window.
pub(crate) fn known<'a>() -> impl Iterator<Item = &'a str> {
    Aggregate::NAMED.iter().map(|(name, _)| *name).chain(OTHERS)
}

pub(crate) struct Select<'a> {
    fields: &'a Schema,
    calls: &'a mut Vec<Call>,
}

impl<'a> Select<'a> {
    pub(crate) fn new(fields: &'a Schema, calls: &'a mut Vec<Call>) -> Self {
        Self { fields, calls }
    }

    /// The columns of the row that holds the calls noted so far.
    pub(crate) fn schema(&self) -> Result<Schema, String> {
        let own = self.calls.iter().map(|call| (Name::from(self.name(*call)), self.kind(*call))).collect();
        self.fields.with_own(own)
    }

    /// Whether a name is a call noted or a column beside the stream's own, which only aggregates may read.
    pub(crate) fn knows(&self, name: &str) -> Result<bool, String> {
        if self.fields.own().iter().any(|(own, _)| *own == *name) {
            return Err(format!("`{name}` outside of an aggregate: write max({name}), last({name}), ..."));
        }
        Ok(self.fields.column(name).is_some() || self.calls.iter().any(|call| self.name(*call) == name))
    }

    /// What stands for a call: its column, or an expression over columns of calls. `None` when the function is no aggregate.
    pub(crate) fn call(&mut self, name: &str, function: &Function) -> Result<Option<Expr>, String> {
        if known().all(|k| k != name) {
            return Ok(None);
        }
        let args = arguments(name, function)?;
        match name {
            TIME_TO => return self.time_to(name, &args, None).map(Some),
            TIME_TO_LOW => return self.time_to(name, &args, Some(2)).map(Some),
            TIME_TO_HIGH => return self.time_to(name, &args, Some(-2)).map(Some),
            _ => {}
        }
        let kind = match (name, args.as_slice()) {
            ("count", [Argument::All | Argument::Number(_)] | []) => {
                return self.note(Call { kind: Aggregate::Rows, field: None }).map(Some);
            }
            ("median", [_]) => Aggregate::Percentile(0.5),
            ("percentile", [_, Argument::Number(p)]) if (0.0..=1.0).contains(p) => Aggregate::Percentile(*p),
            ("percentile", _) => return Err("`percentile` is written percentile(field, 0.95), with a share from 0 to 1".to_owned()),
            (name, [_]) => match Aggregate::NAMED.iter().find(|(n, _)| *n == name) {
                Some((_, kind)) => *kind,
                None => return Ok(None),
            },
            _ => return Err(format!("`{name}` takes one field")),
        };
        let field = self.field(name, args.first(), kind)?;
        self.note(Call { kind, field: Some(field) }).map(Some)
    }

    /// Hours until the line fitted to a field reaches a level: `errors` standard errors of the slope faster towards it.
    fn time_to(&mut self, name: &str, args: &[Argument<'_>], errors: Option<i8>) -> Result<Expr, String> {
        let [field, level] = args else {
            return Err(format!("`{name}` is written {name}(field, level)"));
        };
        let field = self.field(name, Some(field), Aggregate::Fit)?;
        let level = match level {
            Argument::Number(level) => level.to_string(),
            Argument::Other(level) | Argument::Field(_, level) => level.to_string(),
            Argument::All => return Err(format!("`{name}` is written {name}(field, level)")),
        };
        let mut column = |kind| self.note(Call { kind, field: Some(field) });
        let (fit, slope) = (column(Aggregate::Fit)?, column(Aggregate::Slope)?);
        let closer = match errors {
            Some(errors) => format!("{errors} * {}", column(Aggregate::SlopeError)?),
            None => "0".to_owned(),
        };
        parse(&format!("{}({fit}, {slope}, {closer}, {level})", functions::HOURS_TO))
    }

    fn note(&mut self, call: Call) -> Result<Expr, String> {
        if !self.calls.contains(&call) {
            self.calls.push(call);
        }
        Ok(quoted(&self.name(call)))
    }

    fn field(&self, name: &str, arg: Option<&Argument<'_>>, kind: Aggregate) -> Result<usize, String> {
        let fields = || self.fields.own().iter().map(|(own, _)| own.as_str()).collect::<Vec<_>>().join(", ");
        let Some(Argument::Field(field, _)) = arg else {
            return Err(format!("`{name}` of something other than one field: the fields are {}", fields()));
        };
        let Some(index) = self.fields.own().iter().position(|(own, _)| *own == **field) else {
            return Err(format!("`{name}({field})`: no field `{field}`, the fields are {}", fields()));
        };
        if self.fields.own()[index].1 == Kind::Text && !kind.takes_text() {
            return Err(format!("`{name}({field})`: `{field}` is a text"));
        }
        Ok(index)
    }

    fn kind(&self, call: Call) -> Kind {
        match (call.kind, call.field) {
            (Aggregate::First | Aggregate::Last, Some(field)) => self.fields.own()[field].1,
            _ => Kind::Number,
        }
    }

    fn name(&self, call: Call) -> String {
        let field = call.field.map_or("*", |field| self.fields.own()[field].0.as_str());
        match call.kind {
            Aggregate::Percentile(p) => format!("percentile({field}, {p})"),
            Aggregate::Rows => "count(*)".to_owned(),
            kind => {
                let name = Aggregate::NAMED.iter().find(|(_, k)| *k == kind).map_or("", |(name, _)| name);
                format!("{name}({field})")
            }
        }
    }
}

enum Argument<'a> {
    /// `*`
    All,
    Number(f64),
    /// One name, and how it is written.
    Field(String, &'a Expr),
    Other(&'a Expr),
}

fn arguments<'a>(name: &str, function: &'a Function) -> Result<Vec<Argument<'a>>, String> {
    let odd = function.filter.is_some() || !function.within_group.is_empty() || function.null_treatment.is_some();
    let list = match &function.args {
        FunctionArguments::List(list) if !odd && list.duplicate_treatment.is_none() && list.clauses.is_empty() => list,
        _ => return Err(format!("`{name}` with distinct, filter or order by")),
    };
    let argument = |arg: &'a FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => Ok(Argument::All),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(match expr {
            Expr::Identifier(ident) => Argument::Field(whole_name(std::slice::from_ref::<Ident>(ident)), expr),
            expr => number(expr).map_or(Argument::Other(expr), Argument::Number),
        }),
        other => Err(format!("`{other}` as an argument of `{name}`")),
    };
    list.args.iter().map(argument).collect()
}

fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse().ok(),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => number(expr).map(|x| -x),
        _ => None,
    }
}
