//! The MCP side: what the server says it is, and the requests it hands to the engine.

use std::{borrow::Cow, sync::Arc};

use axum::http::request::Parts;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock,
        GetPromptRequestParams, GetPromptResponse, GetPromptResult, Implementation,
        ListPromptsResult, ListResourceTemplatesResult, ListToolsResult, PaginatedRequestParams,
        ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult,
        ResourceContents, ResourceTemplate, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
};
use serde_json::{Map, Value, json};

use crate::{
    catalogue::{Module, Operation},
    engine::{CallError, Engine, Fields},
    identity::Identity,
    prompt, schema,
};

const INSTRUCTIONS: &str = "A small CRM: contacts, companies, deals, tasks and notes, kept apart \
    by workspace. Find ids with the list_ and search_ tools before you get, update or delete. \
    When an answer begins with `Validation error:`, correct the arguments it names and call again.";
/// How long the tools may be remembered; they change with the program only.
const TOOLS_FRESH_MS: u64 = 300_000;

/// The server that answers every request; each carries its own identity.
#[derive(Clone, Debug)]
pub(crate) struct Crm {
    engine: Arc<Engine>,
    tools: Arc<[Tool]>,
}

impl Crm {
    pub(crate) fn new(engine: Engine) -> Self {
        let tools = schema::tools(&engine.catalogue).into();
        Self { engine: Arc::new(engine), tools }
    }

    async fn run(
        &self,
        operation: Operation,
        module: &Arc<Module>,
        caller: &Identity,
        given: &Fields,
    ) -> Result<Result<Value, String>, ErrorData> {
        match self.engine.call(operation, module, &caller.workspaces, given).await {
            Ok(value) => Ok(Ok(value)),
            Err(CallError::Refused(refusal)) => Ok(Err(refusal.text())),
            Err(fault) => {
                let fault: &dyn std::error::Error = &fault;
                tracing::error!(error = fault, "a call failed");
                Err(ErrorData::internal_error("the CRM cannot answer at the moment", None))
            }
        }
    }
}

impl ServerHandler for Crm {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_prompts()
            .enable_resources()
            .enable_tools()
            .build();
        let name = Implementation::new("reference-crm", env!("CARGO_PKG_VERSION"))
            .with_title("Reference CRM");
        ServerConfig::new(capabilities).with_instructions(INSTRUCTIONS).with_server_info(name)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.iter().find(|tool| tool.name == name).cloned()
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let list = ListToolsResult::with_all_items(self.tools.to_vec());
        Ok(match context.protocol_version() {
            // Every caller sees the same tools, so anyone may share the list.
            Some(version) if version.as_str() >= ProtocolVersion::V_2026_07_28.as_str() => {
                list.with_ttl_ms(TOOLS_FRESH_MS).with_cache_scope(CacheScope::Public)
            }
            _ => list,
        })
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let unknown = || ErrorData::invalid_params(unknown_tool(&request.name), None);
        let (operation, module) = self.engine.catalogue.tool(&request.name).ok_or_else(unknown)?;
        let given = request.arguments.unwrap_or_default();
        let result = match self.run(operation, module, caller(&context)?, &given).await? {
            Ok(value) => CallToolResult::structured(value),
            Err(text) => CallToolResult::error(vec![ContentBlock::text(text)]),
        };
        Ok(result.into())
    }

    async fn list_resource_templates(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let template = ResourceTemplate::new("crm://{module}/{id}", "record")
            .with_title("One record")
            .with_description("A record by its module, such as contacts, and its id.")
            .with_mime_type("application/json");
        Ok(ListResourceTemplatesResult::with_all_items(vec![template]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let unknown = || {
            ErrorData::resource_not_found(
                "there is no such record",
                Some(json!({"uri": request.uri})),
            )
        };
        let (module, id) = request
            .uri
            .strip_prefix("crm://")
            .and_then(|path| path.split_once('/'))
            .and_then(|(module, id)| Some((self.engine.catalogue.module(module)?, id)))
            .ok_or_else(unknown)?;
        let given = Map::from_iter([("id".to_owned(), json!(id))]);
        let record = self
            .run(Operation::Get, module, caller(&context)?, &given)
            .await?
            .map_err(|_| unknown())?;
        let contents = ResourceContents::text(record.to_string(), &request.uri)
            .with_mime_type("application/json");
        Ok(ReadResourceResult::new(vec![contents]).into())
    }

    async fn list_prompts(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(vec![prompt::definition()]))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let caller = caller(&context)?;
        let mut records = Map::new();
        for prompt::Read { given, module, operation } in
            prompt::reads(&self.engine.catalogue, &request)?
        {
            let answer = self.run(operation, module, caller, &given).await?;
            let value = answer.map_err(|text| ErrorData::invalid_params(text, None))?;
            records.insert(module.name.clone(), value);
        }
        Ok(GetPromptResult::new(vec![prompt::message(&records)]).into())
    }
}

fn unknown_tool(name: &str) -> Cow<'static, str> {
    format!("unknown tool: {name}").into()
}

/// The identity that the HTTP layer has checked.
fn caller(context: &RequestContext<RoleServer>) -> Result<&Identity, ErrorData> {
    context
        .extensions
        .get::<Parts>()
        .and_then(|parts| parts.extensions.get::<Identity>())
        .ok_or_else(|| ErrorData::internal_error("the request carries no identity", None))
}
