//! From DataFusion's coerced logical expression to the trees.
//!
//! Invariant: a tree gives what DataFusion gives for the expression with [`super::foreign::guard`] applied. What is constant is
//! evaluated here, once, by DataFusion.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::{Between, BinaryExpr, Case as LogicalCase, Expr, ExprSchemable, Operator};
use huong_types::Zone;

use super::check::zone;
use super::foreign::{Foreign, written};
use super::functions::{self, IN_ZONE, ZONE_DISTANCE};
use super::sql::plain;
use super::tree::{Arithmetic, BoolExpr, Case, Comparison, NumberExpr, TextExpr};
use super::{Kind, Row, Schema, finite};

pub(crate) struct Lowering<'a> {
    pub(crate) state: &'a SessionState,
    pub(crate) schema: &'a Schema,
    pub(crate) zones: &'a [Arc<Zone>],
}

pub(crate) enum Tree {
    Number(NumberExpr),
    Bool(BoolExpr),
    Text(TextExpr),
    /// Of a type that only DataFusion handles, within a foreign leaf.
    Other,
}

impl Lowering<'_> {
    pub(crate) fn lower(&self, expr: &Expr) -> Result<Tree, String> {
        if expr.column_refs().is_empty() {
            return Ok(literal(&self.constant(expr)?));
        }
        let native = match expr {
            Expr::Alias(alias) => Some(self.lower(&alias.expr)?),
            Expr::Column(column) => self.column(&column.name),
            Expr::BinaryExpr(binary) => self.binary(binary)?,
            Expr::Negative(of) => match self.lower(of)? {
                Tree::Number(of) => Some(Tree::Number(NumberExpr::Negative(Box::new(of)))),
                _ => None,
            },
            Expr::Not(of) => self.truth(of)?.map(not),
            Expr::IsNull(of) => self.is_null(of)?,
            Expr::IsNotNull(of) => self.is_null(of)?.map(negated),
            Expr::IsTrue(of) => self.is(of, Some(true))?,
            Expr::IsNotTrue(of) => self.is(of, Some(true))?.map(negated),
            Expr::IsFalse(of) => self.is(of, Some(false))?,
            Expr::IsNotFalse(of) => self.is(of, Some(false))?.map(negated),
            Expr::IsUnknown(of) => self.is(of, None)?,
            Expr::IsNotUnknown(of) => self.is(of, None)?.map(negated),
            Expr::Between(between) => self.between(between)?,
            Expr::InList(list) => self.in_list(list)?,
            Expr::Case(case) => self.case(case)?,
            Expr::Cast(cast) => self.text_cast(&cast.expr, cast.field.data_type())?,
            Expr::TryCast(cast) => self.text_cast(&cast.expr, cast.field.data_type())?,
            Expr::ScalarFunction(function) => self.function(function)?,
            _ => None,
        };
        native.map_or_else(|| self.foreign(expr), Ok)
    }

    fn constant(&self, expr: &Expr) -> Result<ScalarValue, String> {
        let value = match expr {
            Expr::Literal(value, _) => return Ok(value.clone()),
            // By far the most frequent: a whole number beside others.
            Expr::Cast(cast) if matches!(&*cast.expr, Expr::Literal(ScalarValue::Int64(_), _)) => {
                self.constant(&cast.expr)?.cast_to(cast.field.data_type())
            }
            _ => {
                let empty = Row { own: &[], facts: &[], extra: &[] };
                Foreign::new(self.state, expr, self.schema).and_then(|foreign| foreign.value(empty))
            }
        };
        value.map_err(|e| format!("{}: {}", written(expr), plain(e)))
    }

    fn foreign(&self, expr: &Expr) -> Result<Tree, String> {
        let foreign = || Foreign::new(self.state, expr, self.schema).map(Arc::new).map_err(plain);
        Ok(match expr.get_type(self.schema.planned()).map_err(plain)? {
            DataType::Float64 => Tree::Number(NumberExpr::Foreign(foreign()?)),
            DataType::Boolean => Tree::Bool(BoolExpr::Foreign(foreign()?)),
            kind if is_text(&kind) => Tree::Text(TextExpr::Foreign(foreign()?)),
            _ => Tree::Other,
        })
    }

    fn column(&self, name: &str) -> Option<Tree> {
        let column = self.schema.column(name)?;
        Some(match column.kind {
            Kind::Number => Tree::Number(NumberExpr::Column(column.place)),
            Kind::Text => Tree::Text(TextExpr::Column(column.place)),
        })
    }

    fn binary(&self, binary: &BinaryExpr) -> Result<Option<Tree>, String> {
        let sides = (self.lower(&binary.left)?, self.lower(&binary.right)?);
        if let (Tree::Bool(left), Tree::Bool(right)) = sides {
            return Ok(match binary.op {
                Operator::And => Some(Tree::Bool(BoolExpr::And(Box::new([left, right])))),
                Operator::Or => Some(Tree::Bool(BoolExpr::Or(Box::new([left, right])))),
                _ => None,
            });
        }
        if let Some(op) = comparison(binary.op) {
            return Ok(compare(op, sides.0, sides.1).map(Tree::Bool));
        }
        let op = match binary.op {
            Operator::Plus => Arithmetic::Add,
            Operator::Minus => Arithmetic::Subtract,
            Operator::Multiply => Arithmetic::Multiply,
            Operator::Divide => Arithmetic::Divide,
            Operator::Modulo => Arithmetic::Remainder,
            _ => return Ok(None),
        };
        Ok(match sides {
            (Tree::Number(left), Tree::Number(right)) => Some(Tree::Number(NumberExpr::Arithmetic(op, Box::new([left, right])))),
            _ => None,
        })
    }

    fn truth(&self, expr: &Expr) -> Result<Option<BoolExpr>, String> {
        Ok(match self.lower(expr)? {
            Tree::Bool(truth) => Some(truth),
            _ => None,
        })
    }

    fn is(&self, of: &Expr, value: Option<bool>) -> Result<Option<Tree>, String> {
        Ok(self.truth(of)?.map(|of| Tree::Bool(BoolExpr::Is(Box::new(of), value))))
    }

    fn is_null(&self, of: &Expr) -> Result<Option<Tree>, String> {
        Ok(Some(Tree::Bool(match self.lower(of)? {
            Tree::Number(of) => BoolExpr::NumberIsNull(Box::new(of)),
            Tree::Bool(of) => BoolExpr::Is(Box::new(of), None),
            Tree::Text(of) => BoolExpr::TextIsNull(Box::new(of)),
            Tree::Other => return Ok(None),
        })))
    }

    fn between(&self, between: &Between) -> Result<Option<Tree>, String> {
        let low = compare(Comparison::GreaterOrEqual, self.lower(&between.expr)?, self.lower(&between.low)?);
        let high = compare(Comparison::LessOrEqual, self.lower(&between.expr)?, self.lower(&between.high)?);
        let (Some(low), Some(high)) = (low, high) else {
            return Ok(None);
        };
        let within = BoolExpr::And(Box::new([low, high]));
        Ok(Some(if between.negated { not(within) } else { Tree::Bool(within) }))
    }

    fn in_list(&self, list: &InList) -> Result<Option<Tree>, String> {
        let items = self.all(&list.list)?;
        let within = match self.lower(&list.expr)? {
            Tree::Number(of) => numbers(items).map(|items| BoolExpr::In(Box::new(of), items)),
            Tree::Text(of) => texts(items).map(|items| BoolExpr::InText(Box::new(of), items)),
            Tree::Bool(_) | Tree::Other => None,
        };
        Ok(within.map(|within| if list.negated { not(within) } else { Tree::Bool(within) }))
    }

    fn case(&self, case: &LogicalCase) -> Result<Option<Tree>, String> {
        let mut whens = Vec::with_capacity(case.when_then_expr.len());
        let mut thens = Vec::with_capacity(case.when_then_expr.len() + 1);
        for (when, then) in &case.when_then_expr {
            let when = match &case.expr {
                Some(base) => compare(Comparison::Equal, self.lower(base)?, self.lower(when)?),
                None => self.truth(when)?,
            };
            let Some(when) = when else {
                return Ok(None);
            };
            whens.push(when);
            thens.push(self.lower(then)?);
        }
        let otherwise = match &case.else_expr {
            Some(otherwise) => self.lower(otherwise)?,
            None => match thens.first() {
                Some(Tree::Number(_)) => Tree::Number(NumberExpr::Literal(None)),
                Some(Tree::Bool(_)) => Tree::Bool(BoolExpr::Literal(None)),
                Some(Tree::Text(_)) => Tree::Text(TextExpr::Literal(None)),
                _ => return Ok(None),
            },
        };
        thens.push(otherwise);
        Ok(match thens.first() {
            Some(Tree::Number(_)) => numbers(thens).and_then(|t| arms(whens, t)).map(|c| Tree::Number(NumberExpr::Case(c))),
            Some(Tree::Bool(_)) => truths(thens).and_then(|t| arms(whens, t)).map(|c| Tree::Bool(BoolExpr::Case(c))),
            Some(Tree::Text(_)) => texts(thens).and_then(|t| arms(whens, t)).map(|c| Tree::Text(TextExpr::Case(c))),
            _ => None,
        })
    }

    /// Between DataFusion's ways to hold a text there is nothing to do.
    fn text_cast(&self, of: &Expr, to: &DataType) -> Result<Option<Tree>, String> {
        Ok(match self.lower(of)? {
            Tree::Text(text) if is_text(to) => Some(Tree::Text(text)),
            _ => None,
        })
    }

    fn function(&self, call: &ScalarFunction) -> Result<Option<Tree>, String> {
        let name = call.name();
        if let ([lat, lon, id], IN_ZONE | ZONE_DISTANCE) = (call.args.as_slice(), name) {
            let zone = Arc::clone(zone(name, Some(id), self.zones)?);
            let (Tree::Number(lat), Tree::Number(lon)) = (self.lower(lat)?, self.lower(lon)?) else {
                return Ok(None);
            };
            let point = Box::new([lat, lon]);
            return Ok(Some(match name {
                IN_ZONE => Tree::Bool(BoolExpr::InZone(zone, point)),
                _ => Tree::Number(NumberExpr::ZoneDistance(zone, point)),
            }));
        }
        let Some(function) = functions::find(name) else {
            return Ok(None);
        };
        let mut args = self.all(&call.args)?;
        if let ("round", [_, decimals]) = (name, call.args.as_slice())
            && decimals.column_refs().is_empty()
            && let ScalarValue::Int32(decimals) = self.constant(decimals)?
        {
            args[1] = Tree::Number(NumberExpr::Literal(decimals.map(f64::from)));
        }
        if name == "coalesce" && matches!(args.first(), Some(Tree::Text(_))) {
            return Ok(texts(args).map(|texts| Tree::Text(TextExpr::Coalesce(texts))));
        }
        Ok(numbers(args).map(|args| Tree::Number(NumberExpr::Call(function, args))))
    }

    fn all(&self, exprs: &[Expr]) -> Result<Vec<Tree>, String> {
        exprs.iter().map(|expr| self.lower(expr)).collect()
    }
}

fn literal(value: &ScalarValue) -> Tree {
    match value {
        ScalarValue::Float64(x) => Tree::Number(NumberExpr::Literal(x.and_then(finite))),
        ScalarValue::Boolean(x) => Tree::Bool(BoolExpr::Literal(*x)),
        ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => {
            Tree::Text(TextExpr::Literal(text.as_deref().map(Arc::from)))
        }
        _ => Tree::Other,
    }
}

fn not(of: BoolExpr) -> Tree {
    Tree::Bool(BoolExpr::Not(Box::new(of)))
}

/// Of a tree known to be a truth.
fn negated(tree: Tree) -> Tree {
    match tree {
        Tree::Bool(of) => not(of),
        other => other,
    }
}

fn comparison(op: Operator) -> Option<Comparison> {
    Some(match op {
        Operator::Eq => Comparison::Equal,
        Operator::NotEq => Comparison::NotEqual,
        Operator::Lt => Comparison::Less,
        Operator::LtEq => Comparison::LessOrEqual,
        Operator::Gt => Comparison::Greater,
        Operator::GtEq => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

fn compare(op: Comparison, left: Tree, right: Tree) -> Option<BoolExpr> {
    match (left, right) {
        (Tree::Number(left), Tree::Number(right)) => Some(BoolExpr::Compare(op, Box::new([left, right]))),
        (Tree::Text(left), Tree::Text(right)) => Some(BoolExpr::CompareText(op, Box::new([left, right]))),
        _ => None,
    }
}

/// The last of `thens` is what holds when none of `whens` is true.
fn arms<T>(whens: Vec<BoolExpr>, thens: Box<[T]>) -> Option<Box<Case<T>>> {
    let mut thens = thens.into_vec();
    let otherwise = thens.pop()?;
    Some(Box::new(Case { arms: whens.into_iter().zip(thens).collect(), otherwise }))
}

fn numbers(trees: Vec<Tree>) -> Option<Box<[NumberExpr]>> {
    let number = |tree| match tree {
        Tree::Number(expr) => Some(expr),
        _ => None,
    };
    trees.into_iter().map(number).collect()
}

fn truths(trees: Vec<Tree>) -> Option<Box<[BoolExpr]>> {
    let truth = |tree| match tree {
        Tree::Bool(expr) => Some(expr),
        _ => None,
    };
    trees.into_iter().map(truth).collect()
}

fn texts(trees: Vec<Tree>) -> Option<Box<[TextExpr]>> {
    let text = |tree| match tree {
        Tree::Text(expr) => Some(expr),
        _ => None,
    };
    trees.into_iter().map(text).collect()
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}
