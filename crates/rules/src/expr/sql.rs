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
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use super::Schema;
use super::select::{Select, known};

/// Bounds the depth of what is parsed. Literals and commas, of which a list may have many, add none to it.
const MOST_TOKENS: usize = 800;
/// Planning and evaluation recurse this deep; `a and b and c` is two deep.
const MOST_DEPTH: usize = 80;

/// Parses one expression.
pub(crate) fn parse(sql: &str) -> Result<Expr, String> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize().map_err(|e| e.to_string())?;
    let flat = |token: &Token| matches!(token, Token::Whitespace(_) | Token::Comma | Token::Number(..) | Token::SingleQuotedString(_));
    let tokens = tokens.iter().filter(|token| !flat(token)).count();
    if tokens > MOST_TOKENS {
        return Err(format!("{tokens} names and signs, more than the {MOST_TOKENS} an expression may have"));
    }
    let parsed = DFParserBuilder::new(sql).build().and_then(|mut parser| parser.parse_into_expr()).map_err(plain)?;
    match parsed.alias {
        None => Ok(parsed.expr),
        Some(alias) => Err(format!("`{alias}` after the end of the expression")),
    }
}

/// Makes names whole and checks them; notes the aggregate calls of a `select`.
pub(crate) fn resolve(expr: &mut Expr, state: &SessionState, schema: &Schema, select: Option<&mut Select<'_>>) -> Result<(), String> {
    match expr.visit(&mut Resolver { state, schema, select, depth: 0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(message) => Err(message),
    }
}

struct Resolver<'a, 'b> {
    state: &'a SessionState,
    /// The columns that may be named; in a `select`, those of the stream.
    schema: &'a Schema,
    select: Option<&'a mut Select<'b>>,
    depth: usize,
}

impl VisitorMut for Resolver<'_, '_> {
    type Break = String;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<String> {
        ControlFlow::Break("a query inside of an expression".to_owned())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return ControlFlow::Break(format!("more than {MOST_DEPTH} operations on top of each other"));
        }
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

    fn post_visit_expr(&mut self, _: &mut Expr) -> ControlFlow<String> {
        self.depth -= 1;
        ControlFlow::Continue(())
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
        } else if let Some(near) = self.nearest_column(&name) {
            message += &format!(". Did you mean `{near}`?");
        }
        Err(message)
    }

    /// `station.bd2` for `bd2`, else one of almost the same name.
    fn nearest_column(&self, name: &str) -> Option<String> {
        let names = || self.schema.columns().iter().map(|c| c.name.as_str());
        let whole = names().find(|n| n.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')));
        whole.map(str::to_owned).or_else(|| nearest(name, names()))
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
        if known().any(|k| k == name) || self.state.aggregate_functions().contains_key(&name) {
            return Err(match self.select {
                None => format!("`{name}()` is over a window: it belongs in `select`"),
                Some(_) => format!("aggregate `{name}`: the windows know {}", known().collect::<Vec<_>>().join(", ")),
            });
        }
        let scalar = self.state.scalar_functions().keys().map(String::as_str);
        let near = if self.select.is_some() { nearest(&name, known().chain(scalar)) } else { nearest(&name, scalar) };
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
    let is_name = |word: &str| matches!(parse(word), Ok(Expr::Identifier(_))) && parse(&format!("0 < {word} and {word} > 0")).is_ok();
    let mut firsts = schema.columns().iter().filter_map(|c| c.name.split('.').next());
    let word = firsts.find(|first| words.contains(first) && !is_name(first))?;
    Some(format!("`{word}` is a word of SQL: the column is written \"{word}\""))
}

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let distances = known.map(|k| (levenshtein(name, k), k));
    distances.filter(|(d, k)| *d <= 1 + k.len() / 4).min().map(|(_, k)| k.to_owned())
}

/// The first line in words for people: the next ones list columns and functions, which our messages do themselves.
pub(crate) fn plain(error: DataFusionError) -> String {
    let text = match error {
        DataFusionError::Diagnostic(_, error) => return plain(*error),
        DataFusionError::SQL(error, _) => match *error {
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => text,
            ParserError::RecursionLimitExceeded => "too many parentheses within each other".to_owned(),
        },
        other => other.strip_backtrace(),
    };
    let text = text.lines().next().unwrap_or_default();
    let prefixes = ["Schema error: ", "Error during planning: ", "Execution error: ", "Arrow error: "];
    let text = prefixes.iter().find_map(|p| text.strip_prefix(p)).unwrap_or(text);
    let types = [("Float64", "number"), ("Int64", "number"), ("Utf8", "text"), ("Boolean", "condition"), ("found: EOF", "found: the end")];
    types.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
}
