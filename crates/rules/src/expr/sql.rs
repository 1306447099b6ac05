//! From SQL text to a parsed expression whose names are all known: whole names instead of qualified ones, functions that exist.
//!
//! Invariant: after [`resolve`] every name is a column of the schema or a call noted by a `select`.

use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use datafusion::common::utils::datafusion_strsim::levenshtein;
use datafusion::execution::SessionState;
use datafusion::sql::parser::DFParserBuilder;
use datafusion::sql::sqlparser::ast::{Expr, Function, Ident, Query, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::Schema;
use super::select::{SELECT_ONLY, Select};

/// Bounds the depth of the trees, whose evaluation is recursive.
const MOST_TOKENS: usize = 1000;

/// Parses one expression.
pub(crate) fn parse(sql: &str) -> Result<Expr, String> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize().map_err(|e| e.to_string())?;
    let tokens = tokens.iter().filter(|t| !matches!(t, Token::Whitespace(_))).count();
    if tokens > MOST_TOKENS {
        return Err(format!("{tokens} words and signs, more than the {MOST_TOKENS} an expression may have"));
    }
    let parsed = DFParserBuilder::new(sql).build().and_then(|mut parser| parser.parse_into_expr()).map_err(plain)?;
    match parsed.alias {
        None => Ok(parsed.expr),
        Some(alias) => Err(format!("`{alias}` after the end of the expression")),
    }
}

/// Makes names whole and checks them; notes the aggregate calls of a `select`.
pub(crate) fn resolve(expr: &mut Expr, state: &SessionState, schema: &Schema, select: Option<&mut Select<'_>>) -> Result<(), String> {
    match expr.visit(&mut Resolver { state, schema, select }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(message) => Err(message),
    }
}

struct Resolver<'a, 'b> {
    state: &'a SessionState,
    /// The columns that may be named; in a `select`, those of the stream.
    schema: &'a Schema,
    select: Option<&'a mut Select<'b>>,
}

impl VisitorMut for Resolver<'_, '_> {
    type Break = String;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<String> {
        ControlFlow::Break("a query inside of an expression".to_owned())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        let result = match expr {
            Expr::Identifier(ident) => self.column(std::slice::from_ref(ident)),
            Expr::CompoundIdentifier(idents) => self.column(idents),
            Expr::Function(function) => self.function(function),
            _ => return ControlFlow::Continue(()),
        };
        match result {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(replacement)) => {
                *expr = replacement;
                ControlFlow::Continue(())
            }
            Err(message) => ControlFlow::Break(message),
        }
    }
}

impl Resolver<'_, '_> {
    fn column(&self, idents: &[Ident]) -> Result<Option<Expr>, String> {
        let name = whole_name(idents);
        let known = match &self.select {
            Some(select) => select.knows(&name)?,
            None => self.schema.column(&name).is_some(),
        };
        if known {
            return Ok(Some(quoted(&name)));
        }
        let mut message = format!("no column `{name}`");
        if idents.iter().any(|i| i.quote_style == Some('"')) {
            message += &format!(" (a text is written '{name}', in single quotes)");
        } else if let Some(near) = nearest(&name, self.schema.columns().iter().map(|c| c.name.as_str())) {
            message += &format!(". Did you mean `{near}`?");
        }
        Err(message)
    }

    fn function(&mut self, function: &Function) -> Result<Option<Expr>, String> {
        let name = function.name.to_string().to_lowercase();
        if function.over.is_some() {
            return Err(format!("`{name}` with over: a rule's windows are its own"));
        }
        if let Some(select) = &mut self.select
            && let Some(replacement) = select.call(&name, function)?
        {
            return Ok(Some(replacement));
        }
        if self.state.scalar_functions().contains_key(&name) {
            return Ok(None);
        }
        let known = || SELECT_ONLY.iter().copied();
        if known().any(|k| k == name) || self.state.aggregate_functions().contains_key(&name) {
            return Err(match self.select {
                None => format!("`{name}()` is over a window: it belongs in `select`"),
                Some(_) => format!("aggregate `{name}`: the windows know {}", known().collect::<Vec<_>>().join(", ")),
            });
        }
        let scalar = self.state.scalar_functions().keys().map(String::as_str);
        let near = if self.select.is_some() { nearest(&name, scalar.chain(known())) } else { nearest(&name, scalar) };
        Err(match near {
            Some(near) => format!("no function `{name}`. Did you mean `{near}`?"),
            None => format!("no function `{name}`"),
        })
    }
}

/// `station.bd2` as one name; what is not quoted is lower-case, as in SQL.
pub(crate) fn whole_name(idents: &[Ident]) -> String {
    let part = |ident: &Ident| if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() };
    idents.iter().map(part).collect::<Vec<_>>().join(".")
}

pub(crate) fn quoted(name: &str) -> Expr {
    Expr::Identifier(Ident::with_quote('"', name))
}

/// What to add to an error when a column that SQL cannot read as a name may be its cause.
pub(crate) fn reserved(sql: &str, schema: &Schema) -> Option<String> {
    let words: Vec<&str> = sql.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    let is_name = |name: &str| matches!(parse(name), Ok(Expr::Identifier(_)));
    let column = schema.own().iter().find(|(name, _)| words.contains(&name.as_str()) && !is_name(name))?;
    Some(format!("`{0}` is a word of SQL: the column is written \"{0}\"", column.0))
}

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known.map(|k| (levenshtein(name, k), k));
    distances.filter(|(d, k)| *d <= 1 + k.len() / 4).min().map(|(_, k)| k)
}

/// The first line: the next ones list columns and functions, which our messages do themselves.
pub(crate) fn plain(error: DataFusionError) -> String {
    let text = error.strip_backtrace();
    let text = text.lines().next().unwrap_or_default();
    let prefixes = ["Schema error: ", "SQL error: ", "Error during planning: ", "Execution error: ", "Arrow error: "];
    prefixes.iter().find_map(|p| text.strip_prefix(p)).unwrap_or(text).to_owned()
}
