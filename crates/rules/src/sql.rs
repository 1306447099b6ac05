//! SQL expressions compiled once by DataFusion and evaluated on Arrow batches.
//!
//! Every column is a nullable Float64. Only immutable functions are let in, so that a result depends on nothing but the batch.
//! An expression that cannot be evaluated on a row (a failing cast, say) gives NULL there: bad figures never stop the engine.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue, TableReference, not_impl_err};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, Volatility, col, create_udaf};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::SessionContext;
use huong_types::Name;

use crate::panes::{Aggregate, Call};

/// The name under which rules see the registry row.
pub(crate) const STATION: &str = "station";

/// The columns an expression may name: `own` ones first, then `station.<level>`.
///
/// SQL cannot tell `storage` from `station.storage` when both exist: a level of the name of an own column is hidden.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    own: Vec<Name>,
    /// Positions of the levels that are columns.
    levels: Vec<usize>,
    schema: DFSchema,
    arrow: SchemaRef,
}

pub(crate) struct Compiler {
    context: SessionContext,
}

/// A boolean expression.
#[derive(Clone, Debug)]
pub(crate) struct Condition(Arc<dyn PhysicalExpr>);

/// A numeric expression, cast to Float64.
#[derive(Clone, Debug)]
pub(crate) struct Number(Arc<dyn PhysicalExpr>);

impl Columns {
    pub(crate) fn new(own: Vec<Name>, levels: &[Name]) -> Result<Self, String> {
        let field = |name: &Name| Arc::new(Field::new(name.as_str(), DataType::Float64, true));
        let station = TableReference::bare(STATION);
        let seen: Vec<usize> = (0..levels.len()).filter(|i| !own.contains(&levels[*i])).collect();
        let fields = own.iter().map(|name| (None, field(name)));
        let fields = fields.chain(seen.iter().map(|i| (Some(station.clone()), field(&levels[*i])))).collect();
        let schema = DFSchema::new_with_metadata(fields, HashMap::new()).map_err(|e| e.strip_backtrace())?;
        let arrow = Arc::clone(schema.inner());
        Ok(Self { own, levels: seen, schema, arrow })
    }

    pub(crate) fn own(&self) -> &[Name] {
        &self.own
    }

    /// A batch of `rows` rows of `own` columns and of those of the registry row, of which `station` holds every level. `None` when
    /// lengths or counts differ, which the callers' construction rules out.
    pub(crate) fn batch(&self, own: impl Iterator<Item = ArrayRef>, station: &[ArrayRef], rows: usize) -> Option<RecordBatch> {
        let columns = own.chain(self.levels.iter().map(|level| Arc::clone(&station[*level]))).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.arrow), columns, &options).ok()
    }

    fn listed(&self) -> String {
        self.schema.columns().iter().map(|c| c.quoted_flat_name()).collect::<Vec<_>>().join(", ")
    }
}

impl Compiler {
    pub(crate) fn new() -> Self {
        let context = SessionContext::new();
        for name in ["first", "last", "rate"] {
            // A marker for the parser: the windows compute it, DataFusion never does.
            let marker = create_udaf(
                name,
                vec![DataType::Float64],
                Arc::new(DataType::Float64),
                Volatility::Immutable,
                Arc::new(|_| not_impl_err!("windows compute this")),
                Arc::new(vec![]),
            );
            context.register_udaf(marker);
        }
        Self { context }
    }

    pub(crate) fn condition(&self, sql: &str, columns: &Columns) -> Result<Condition, String> {
        let expr = self.parse(sql, columns)?;
        match expr.get_type(&columns.schema).map_err(plain)? {
            DataType::Boolean => self.physical(expr, columns).map(Condition),
            other => Err(format!("a {other}, not a condition")),
        }
    }

    pub(crate) fn number(&self, sql: &str, columns: &Columns) -> Result<Number, String> {
        let expr = self.parse(sql, columns)?;
        self.numeric(expr, columns)
    }

    /// One `select` entry over the window's aggregates of `fields`: notes the calls it makes in `calls` and gives the rest of
    /// the expression over columns named by [`call_column`], to be compiled by [`Compiler::over_calls`].
    pub(crate) fn select(&self, sql: &str, fields: &Columns, calls: &mut Vec<Call>) -> Result<Expr, String> {
        let expr = self.parse(sql, fields)?;
        let mut wrong = None;
        let rest = expr.transform_down(|node| match node {
            Expr::AggregateFunction(function) => {
                let call = match aggregate(&function, fields) {
                    Ok(call) => call,
                    Err(message) => {
                        wrong = Some(message);
                        return Ok(Transformed::new(Expr::AggregateFunction(function), false, TreeNodeRecursion::Stop));
                    }
                };
                let position = calls.iter().position(|c| *c == call).unwrap_or_else(|| {
                    calls.push(call);
                    calls.len() - 1
                });
                Ok(Transformed::new(col(call_column(position).as_str()), true, TreeNodeRecursion::Jump))
            }
            Expr::Column(column) if column.relation.is_none() && fields.own.iter().any(|f| *f == *column.name) => {
                wrong = Some(format!("`{}` outside of an aggregate", column.name));
                Ok(Transformed::new(Expr::Column(column), false, TreeNodeRecursion::Stop))
            }
            other => Ok(Transformed::no(other)),
        });
        match wrong {
            Some(message) => Err(message),
            None => rest.map(|t| t.data).map_err(plain),
        }
    }

    pub(crate) fn over_calls(&self, rest: Expr, columns: &Columns) -> Result<Number, String> {
        self.numeric(rest, columns)
    }

    fn parse(&self, sql: &str, columns: &Columns) -> Result<Expr, String> {
        let expr = self.context.parse_sql_expr(sql, &columns.schema).map_err(plain)?;
        let mut volatile = None;
        expr.apply(|node| {
            if let Expr::ScalarFunction(function) = node
                && function.func.signature().volatility != Volatility::Immutable
            {
                volatile = Some(format!("`{}()`, whose result depends on when it is asked", function.func.name()));
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .map_err(plain)?;
        volatile.map_or(Ok(expr), Err)
    }

    fn numeric(&self, expr: Expr, columns: &Columns) -> Result<Number, String> {
        let kind = expr.get_type(&columns.schema).map_err(plain)?;
        if !kind.is_numeric() {
            return Err(format!("a {kind}, not a number"));
        }
        self.physical(expr, columns).map(Number)
    }

    fn physical(&self, expr: Expr, columns: &Columns) -> Result<Arc<dyn PhysicalExpr>, String> {
        self.context.create_physical_expr(expr, &columns.schema).map_err(plain)
    }
}

impl Condition {
    /// One result per row; `None` is SQL's NULL.
    pub(crate) fn evaluate(&self, batch: &RecordBatch) -> BooleanArray {
        let result = self.0.evaluate(batch).and_then(|value| value.into_array(batch.num_rows())).ok();
        result.and_then(|array| array.as_boolean_opt().cloned()).unwrap_or_else(|| BooleanArray::new_null(batch.num_rows()))
    }
}

impl Number {
    /// One result per row; not finite becomes NULL.
    pub(crate) fn evaluate(&self, batch: &RecordBatch) -> Float64Array {
        let rows = batch.num_rows();
        let result = self.0.evaluate(batch).and_then(|value| value.into_array(rows)).ok();
        let numbers = result.and_then(|array| cast(&array, &DataType::Float64).ok());
        match numbers.as_ref().and_then(|array| array.as_primitive_opt::<Float64Type>()) {
            Some(numbers) => numbers.iter().map(|n| n.filter(|n| n.is_finite())).collect(),
            None => Float64Array::new_null(rows),
        }
    }
}

/// The column that stands for the n-th aggregate call of a rule; no SQL name of a user can be it.
pub(crate) fn call_column(position: usize) -> String {
    format!("#{position}")
}

/// What an expression may name, for messages.
pub(crate) fn expected(what: &str, columns: &Columns) -> String {
    format!("{what} over {}", columns.listed())
}

fn aggregate(function: &AggregateFunction, fields: &Columns) -> Result<Call, String> {
    let name = function.func.name();
    let kind = Aggregate::parse(name).ok_or_else(|| format!("aggregate `{name}`: the windows know {}", Aggregate::NAMES.join(", ")))?;
    let params = &function.params;
    if params.distinct || params.filter.is_some() || !params.order_by.is_empty() {
        return Err(format!("`{name}` with distinct, filter or order by"));
    }
    let field = match params.args.as_slice() {
        [Expr::Column(column)] if column.relation.is_none() => fields.own.iter().position(|f| *f == *column.name),
        #[expect(deprecated, reason = "the parser still gives it for count(*)")]
        [Expr::Wildcard { .. }] | [] if kind == Aggregate::Count => return Ok(Call { kind, field: None }),
        [Expr::Literal(ScalarValue::Int64(Some(_)), _)] if kind == Aggregate::Count => return Ok(Call { kind, field: None }),
        _ => None,
    };
    match field {
        Some(_) => Ok(Call { kind, field }),
        None => Err(format!("`{name}` of something other than one field")),
    }
}

/// The first line: the next ones list the columns, which our messages do themselves.
fn plain(error: DataFusionError) -> String {
    let text = error.strip_backtrace();
    let text = text.lines().next().unwrap_or_default();
    text.strip_prefix("Schema error: ").or_else(|| text.strip_prefix("SQL error: ")).unwrap_or(text).to_owned()
}
