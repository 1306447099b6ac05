//! The trees seen alike: what is below a node, which columns it reads, how it is written as SQL.
//!
//! Invariant: the SQL of a node means what the node evaluates, in the words of its schema.

use std::sync::Arc;

use super::foreign::Foreign;
use super::functions::{IN_ZONE, ZONE_DISTANCE};
use super::tree::{Arithmetic, BoolExpr, Case, Comparison, NumberExpr, TextExpr};
use super::{Place, Row, Schema};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Node<'a> {
    Number(&'a NumberExpr),
    Bool(&'a BoolExpr),
    Text(&'a TextExpr),
}

/// How tightly a node's outermost operator binds; a looser one inside of a tighter one is put in parentheses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Or,
    And,
    Not,
    Comparison,
    Sum,
    Product,
    Whole,
}

impl<'a> Node<'a> {
    pub(crate) fn children(self) -> Vec<Node<'a>> {
        match self {
            Self::Number(expr) => match expr {
                NumberExpr::Literal(_) | NumberExpr::Column(_) | NumberExpr::Foreign(_) => vec![],
                NumberExpr::Negative(of) => vec![Self::Number(of)],
                NumberExpr::Arithmetic(_, of) | NumberExpr::ZoneDistance(_, of) => of.iter().map(Self::Number).collect(),
                NumberExpr::Call(_, args) => args.iter().map(Self::Number).collect(),
                NumberExpr::Case(case) => case_children(case, Self::Number),
            },
            Self::Bool(expr) => match expr {
                BoolExpr::Literal(_) | BoolExpr::Foreign(_) => vec![],
                BoolExpr::Compare(_, of) | BoolExpr::InZone(_, of) => of.iter().map(Self::Number).collect(),
                BoolExpr::CompareText(_, of) => of.iter().map(Self::Text).collect(),
                BoolExpr::In(of, list) => std::iter::once(&**of).chain(list).map(Self::Number).collect(),
                BoolExpr::InText(of, list) => std::iter::once(&**of).chain(list).map(Self::Text).collect(),
                BoolExpr::NumberIsNull(of) => vec![Self::Number(of)],
                BoolExpr::TextIsNull(of) => vec![Self::Text(of)],
                BoolExpr::Is(of, _) | BoolExpr::Not(of) => vec![Self::Bool(of)],
                BoolExpr::And(all) | BoolExpr::Or(all) => all.iter().map(Self::Bool).collect(),
                BoolExpr::Case(case) => case_children(case, Self::Bool),
            },
            Self::Text(expr) => match expr {
                TextExpr::Literal(_) | TextExpr::Column(_) | TextExpr::Foreign(_) => vec![],
                TextExpr::Coalesce(all) => all.iter().map(Self::Text).collect(),
                TextExpr::Case(case) => case_children(case, Self::Text),
            },
        }
    }

    pub(crate) fn is_literal(self) -> bool {
        matches!(self, Self::Number(NumberExpr::Literal(_)) | Self::Bool(BoolExpr::Literal(_)) | Self::Text(TextExpr::Literal(_)))
    }

    /// The place it reads when it is a column.
    pub(crate) fn place(self) -> Option<Place> {
        match self {
            Self::Number(NumberExpr::Column(place)) | Self::Text(TextExpr::Column(place)) => Some(*place),
            _ => None,
        }
    }

    pub(crate) fn foreign(self) -> Option<&'a Foreign> {
        match self {
            Self::Number(NumberExpr::Foreign(foreign))
            | Self::Bool(BoolExpr::Foreign(foreign))
            | Self::Text(TextExpr::Foreign(foreign)) => Some(foreign),
            _ => None,
        }
    }

    /// Its value as SQL writes it.
    pub(crate) fn value(self, row: Row<'_>) -> String {
        match self {
            Self::Number(expr) => number(expr.eval(row)),
            Self::Bool(expr) => truth(expr.eval(row)),
            Self::Text(expr) => text(expr.eval(row).as_deref()),
        }
    }

    pub(crate) fn sql(self, schema: &Schema) -> String {
        let sub = |node: Node<'_>, at_least: Binding| {
            let sql = node.sql(schema);
            if node.binding() < at_least { format!("({sql})") } else { sql }
        };
        let list = |nodes: &[Node<'_>]| nodes.iter().map(|n| n.sql(schema)).collect::<Vec<_>>().join(", ");
        let joined = |word: &str, at_least| self.children().iter().map(|n| sub(*n, at_least)).collect::<Vec<_>>().join(word);
        let children = self.children();
        if let Some(place) = self.place() {
            return schema.name(place).to_owned();
        }
        if let Some(foreign) = self.foreign() {
            return foreign.sql();
        }
        match self {
            Self::Number(NumberExpr::Literal(x)) => number(*x),
            Self::Bool(BoolExpr::Literal(x)) => truth(*x),
            Self::Text(TextExpr::Literal(x)) => text(x.as_ref()),
            Self::Number(NumberExpr::Negative(of)) => format!("-{}", sub(Self::Number(of), Binding::Whole)),
            Self::Number(NumberExpr::Arithmetic(op, of)) => {
                let (left, right) = match op {
                    Arithmetic::Add => (Binding::Sum, Binding::Sum),
                    Arithmetic::Subtract => (Binding::Sum, Binding::Product),
                    Arithmetic::Multiply => (Binding::Product, Binding::Product),
                    Arithmetic::Divide | Arithmetic::Remainder => (Binding::Product, Binding::Whole),
                };
                format!("{} {} {}", sub(Self::Number(&of[0]), left), arithmetic(*op), sub(Self::Number(&of[1]), right))
            }
            Self::Number(NumberExpr::Call(function, _)) => format!("{}({})", function.name, list(&children)),
            Self::Number(NumberExpr::ZoneDistance(zone, _)) => format!("{ZONE_DISTANCE}({}, '{}')", list(&children), zone.id),
            Self::Bool(BoolExpr::InZone(zone, _)) => format!("{IN_ZONE}({}, '{}')", list(&children), zone.id),
            Self::Text(TextExpr::Coalesce(_)) => format!("coalesce({})", list(&children)),
            Self::Bool(BoolExpr::Compare(op, _) | BoolExpr::CompareText(op, _)) => joined(&format!(" {} ", comparison(*op)), Binding::Sum),
            Self::Bool(BoolExpr::In(..) | BoolExpr::InText(..)) => {
                format!("{} IN ({})", sub(children[0], Binding::Sum), list(&children[1..]))
            }
            Self::Bool(BoolExpr::NumberIsNull(_) | BoolExpr::TextIsNull(_)) => format!("{} IS NULL", sub(children[0], Binding::Sum)),
            Self::Bool(BoolExpr::Is(_, value)) => {
                let value = value.map_or("NULL", |v| if v { "TRUE" } else { "FALSE" });
                format!("{} IS {value}", sub(children[0], Binding::Sum))
            }
            Self::Bool(BoolExpr::Not(_)) => format!("NOT {}", sub(children[0], Binding::Not)),
            Self::Bool(BoolExpr::And(_)) => joined(" AND ", Binding::And),
            Self::Bool(BoolExpr::Or(_)) => joined(" OR ", Binding::Or),
            // What is left has arms, and what holds otherwise, below it.
            _ => {
                let (arms, otherwise) = children.split_at(children.len().saturating_sub(1));
                let arms =
                    arms.chunks(2).map(|arm| format!(" WHEN {}", arm.iter().map(|n| n.sql(schema)).collect::<Vec<_>>().join(" THEN ")));
                format!("CASE{} ELSE {} END", arms.collect::<String>(), list(otherwise))
            }
        }
    }

    fn binding(self) -> Binding {
        match self {
            Self::Bool(BoolExpr::Or(_)) => Binding::Or,
            Self::Bool(BoolExpr::And(_)) => Binding::And,
            Self::Bool(BoolExpr::Not(_)) => Binding::Not,
            Self::Bool(BoolExpr::Literal(_) | BoolExpr::InZone(..) | BoolExpr::Case(_)) => Binding::Whole,
            Self::Bool(_) => Binding::Comparison,
            Self::Number(NumberExpr::Arithmetic(Arithmetic::Add | Arithmetic::Subtract, _)) => Binding::Sum,
            Self::Number(NumberExpr::Arithmetic(..) | NumberExpr::Negative(_)) => Binding::Product,
            Self::Number(NumberExpr::Literal(Some(x))) if *x < 0.0 => Binding::Product,
            // How a foreign leaf is written is not ours.
            Self::Number(NumberExpr::Foreign(_)) => Binding::Sum,
            Self::Number(_) | Self::Text(_) => Binding::Whole,
        }
    }
}

fn case_children<'a, T>(case: &'a Case<T>, node: fn(&'a T) -> Node<'a>) -> Vec<Node<'a>> {
    let arms = case.arms.iter().flat_map(|(when, then)| [Node::Bool(when), node(then)]);
    arms.chain([node(&case.otherwise)]).collect()
}

fn number(x: Option<f64>) -> String {
    x.map_or_else(|| "NULL".to_owned(), |x| x.to_string())
}

fn truth(x: Option<bool>) -> String {
    x.map_or("NULL", |x| if x { "TRUE" } else { "FALSE" }).to_owned()
}

fn text(text: Option<&Arc<str>>) -> String {
    text.map_or_else(|| "NULL".to_owned(), |text| format!("'{}'", text.replace('\'', "''")))
}

fn arithmetic(op: Arithmetic) -> &'static str {
    match op {
        Arithmetic::Add => "+",
        Arithmetic::Subtract => "-",
        Arithmetic::Multiply => "*",
        Arithmetic::Divide => "/",
        Arithmetic::Remainder => "%",
    }
}

fn comparison(op: Comparison) -> &'static str {
    match op {
        Comparison::Equal => "=",
        Comparison::NotEqual => "<>",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}
