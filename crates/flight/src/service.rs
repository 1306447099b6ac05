//! The calls of Flight SQL that a reader needs: statements, prepared statements without parameters, and what there is to ask.
//!
//! Invariant: nothing is kept between calls. A ticket and a prepared statement's handle are the statement itself, so they hold after a
//! restart and cost nothing when they are forgotten.

use std::pin::Pin;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::writer::IpcWriteOptions;
use arrow::record_batch::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::server::FlightSqlService;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, CommandGetCatalogs,
    CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandPreparedStatementQuery, CommandStatementQuery,
    ProstMessageExt, SqlInfo, SqlSupportedTransaction, TicketStatementQuery,
};
use arrow_flight::{
    Action, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse, IpcMessage, SchemaAsIpc, Ticket,
};
use futures_util::stream::{BoxStream, once};
use futures_util::{Stream, StreamExt};
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::{Database, Fault, Refusal, SqlError, basic};

const TABLE: &str = "TABLE";

pub(crate) struct Service {
    database: Arc<dyn Database>,
}

type Rows = Response<<Service as FlightService>::DoGetStream>;
type Handshake = Response<Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>>;

impl Service {
    pub(crate) fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }

    /// Who asks.
    fn admit(&self, metadata: &MetadataMap) -> Result<String, Status> {
        let token = metadata.get("authorization").and_then(|value| value.to_str().ok()).and_then(basic::token);
        self.database.admit(token.as_deref()).map_err(
            |Refusal { unknown, why }| {
                if unknown { Status::unauthenticated(why) } else { Status::permission_denied(why) }
            },
        )
    }

    async fn statement_info(&self, sql: String, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        self.admit(request.metadata())?;
        let schema = self.database.columns(sql.clone()).await.map_err(status)?;
        info(&schema, &TicketStatementQuery { statement_handle: sql.into() }, request)
    }

    async fn rows(&self, statement: &[u8], request: &Request<Ticket>) -> Result<Rows, Status> {
        let who = self.admit(request.metadata())?;
        let answer = self.database.ask(who, text(statement)?).await.map_err(status)?;
        Ok(stream(answer.schema, answer.rows))
    }

    fn sql_info() -> Result<SqlInfoData, Status> {
        let mut info = SqlInfoDataBuilder::new();
        info.append(SqlInfo::FlightSqlServerName, "huong");
        info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
        info.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
        info.append(SqlInfo::FlightSqlServerReadOnly, true);
        info.append(SqlInfo::FlightSqlServerSql, true);
        info.append(SqlInfo::FlightSqlServerSubstrait, false);
        info.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
        info.append(SqlInfo::FlightSqlServerCancel, false);
        info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
        info.build().map_err(broken)
    }
}

/// Where to fetch what `command` names, and its columns.
fn info(schema: &Schema, command: &impl ProstMessageExt, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
    let ticket = Ticket::new(command.as_any().encode_to_vec());
    let endpoint = FlightEndpoint::new().with_ticket(ticket);
    let info = FlightInfo::new().try_with_schema(schema).map_err(broken)?;
    Ok(Response::new(info.with_endpoint(endpoint).with_descriptor(request.into_inner())))
}

fn stream(schema: SchemaRef, rows: BoxStream<'static, Result<RecordBatch, SqlError>>) -> Rows {
    let rows = rows.map(|batch| batch.map_err(|error| FlightError::Tonic(Box::new(status(error)))));
    Response::new(FlightDataEncoderBuilder::new().with_schema(schema).build(rows).map(|data| data.map_err(Status::from)).boxed())
}

fn one(batch: RecordBatch) -> Rows {
    stream(batch.schema(), once(async { Ok(batch) }).boxed())
}

fn text(statement: &[u8]) -> Result<String, Status> {
    String::from_utf8(statement.to_vec()).map_err(|_| Status::invalid_argument("the handle is not one that this server gave"))
}

fn status(error: SqlError) -> Status {
    match error.fault {
        Fault::Statement => Status::invalid_argument(error.message),
        Fault::TooLarge => Status::resource_exhausted(error.message),
        Fault::TooSlow => Status::deadline_exceeded(error.message),
        Fault::Busy => Status::unavailable(error.message),
        Fault::Store => {
            tracing::error!(%error, "a query failed");
            Status::internal(error.message)
        }
    }
}

/// An answer of our own making that cannot be encoded.
fn broken(error: impl std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}

#[async_trait]
impl FlightSqlService for Service {
    type FlightService = Service;

    async fn do_handshake(&self, request: Request<Streaming<HandshakeRequest>>) -> Result<Handshake, Status> {
        self.admit(request.metadata())?;
        let header = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let token = header.and_then(basic::token).ok_or_else(|| Status::unauthenticated("no token"))?;
        let bearer = format!("Bearer {token}").parse().map_err(|_| Status::unauthenticated("no token"))?;
        let answer = HandshakeResponse { protocol_version: 0, payload: token.into() };
        let mut response: Handshake = Response::new(once(async { Ok(answer) }).boxed());
        response.metadata_mut().insert("authorization", bearer);
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.statement_info(query.query, request).await
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.statement_info(text(&query.prepared_statement_handle)?, request).await
    }

    async fn do_get_statement(&self, ticket: TicketStatementQuery, request: Request<Ticket>) -> Result<Rows, Status> {
        self.rows(&ticket.statement_handle, &request).await
    }

    async fn do_get_prepared_statement(&self, query: CommandPreparedStatementQuery, request: Request<Ticket>) -> Result<Rows, Status> {
        self.rows(&query.prepared_statement_handle, &request).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        self.admit(request.metadata())?;
        let schema = self.database.columns(query.query.clone()).await.map_err(status)?;
        let IpcMessage(dataset_schema) = SchemaAsIpc::new(&schema, &IpcWriteOptions::default()).try_into().map_err(broken)?;
        // No parameter schema: a statement with parameters is refused when it is planned.
        let prepared_statement_handle = query.query.into();
        Ok(ActionCreatePreparedStatementResult { prepared_statement_handle, dataset_schema, parameter_schema: Default::default() })
    }

    async fn do_action_close_prepared_statement(
        &self,
        _query: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        self.admit(request.metadata()).map(|_| ())
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.admit(request.metadata())?;
        info(&query.into_builder().schema(), &query, request)
    }

    async fn do_get_catalogs(&self, query: CommandGetCatalogs, request: Request<Ticket>) -> Result<Rows, Status> {
        self.admit(request.metadata())?;
        let mut catalogs = query.into_builder();
        catalogs.append(self.database.catalog().await.map_err(status)?.name);
        Ok(one(catalogs.build().map_err(broken)?))
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.admit(request.metadata())?;
        info(&query.clone().into_builder().schema(), &query, request)
    }

    async fn do_get_schemas(&self, query: CommandGetDbSchemas, request: Request<Ticket>) -> Result<Rows, Status> {
        self.admit(request.metadata())?;
        let (catalog, mut schemas) = (self.database.catalog().await.map_err(status)?, query.into_builder());
        schemas.append(catalog.name, catalog.schema);
        Ok(one(schemas.build().map_err(broken)?))
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.admit(request.metadata())?;
        info(&query.clone().into_builder().schema(), &query, request)
    }

    async fn do_get_tables(&self, query: CommandGetTables, request: Request<Ticket>) -> Result<Rows, Status> {
        self.admit(request.metadata())?;
        let (catalog, mut tables) = (self.database.catalog().await.map_err(status)?, query.into_builder());
        for (name, schema) in catalog.tables {
            tables.append(catalog.name, catalog.schema, name, TABLE, &schema).map_err(broken)?;
        }
        Ok(one(tables.build().map_err(broken)?))
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.admit(request.metadata())?;
        info(&query.into_builder().schema(), &query, request)
    }

    async fn do_get_table_types(&self, query: CommandGetTableTypes, request: Request<Ticket>) -> Result<Rows, Status> {
        self.admit(request.metadata())?;
        let mut types = query.into_builder();
        types.append(TABLE);
        Ok(one(types.build().map_err(broken)?))
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.admit(request.metadata())?;
        info(&query.clone().into_builder(&Self::sql_info()?).schema(), &query, request)
    }

    async fn do_get_sql_info(&self, query: CommandGetSqlInfo, request: Request<Ticket>) -> Result<Rows, Status> {
        self.admit(request.metadata())?;
        Ok(one(query.into_builder(&Self::sql_info()?).build().map_err(broken)?))
    }

    /// What there is to know is in [`Service::sql_info`].
    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}
