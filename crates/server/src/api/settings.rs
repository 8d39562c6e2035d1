//! `SettingsService`: what runs of an organisation, a domain or a project have where they say nothing.

use std::sync::Arc;

use connectrpc::{RequestContext, Response, ServiceRequest, ServiceResult};
use spanwise_proto::flyteidl2::settings::{
    CreateSettingsRequest, CreateSettingsResponse, GetSettingsForEditRequest, GetSettingsForEditResponse,
    GetSettingsRequest, GetSettingsResponse, SettingsService, UpdateSettingsRequest, UpdateSettingsResponse,
};
use spanwise_wire::{Invalid, settings};

use super::{Api, warnings};

/// The service.
pub(super) struct SettingsApi {
    api: Arc<Api>,
}

impl SettingsApi {
    pub(super) fn new(api: Arc<Api>) -> SettingsApi {
        SettingsApi { api }
    }
}

impl SettingsService for SettingsApi {
    async fn get_settings(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, GetSettingsRequest>,
    ) -> ServiceResult<GetSettingsResponse> {
        let scope = settings::scope(request.to_owned_message().key.as_option())?;
        let own = self.api.control.settings(&scope)?.into_iter().find(|row| row.scope == scope);
        let effective = self.api.control.effective_settings(&scope)?;
        let record = settings::shown_record(&scope, effective, own.map_or(0, |row| row.version));
        Response::ok(GetSettingsResponse { settingsRecord: record.into(), ..GetSettingsResponse::default() })
    }

    async fn get_settings_for_edit(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, GetSettingsForEditRequest>,
    ) -> ServiceResult<GetSettingsForEditResponse> {
        let scope = settings::scope(request.to_owned_message().key.as_option())?;
        let rows = self.api.control.settings(&scope)?;
        let shown = |row: &spanwise_engine::SettingsRow| {
            Ok(settings::record(&row.scope, settings::decode(&row.body)?, row.version))
        };
        let levels = rows.iter().map(shown).collect::<Result<_, Invalid>>()?;
        let key = settings::key(&scope).into();
        Response::ok(GetSettingsForEditResponse { requestedKey: key, levels, ..GetSettingsForEditResponse::default() })
    }

    async fn create_settings(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, CreateSettingsRequest>,
    ) -> ServiceResult<CreateSettingsResponse> {
        let request = request.to_owned_message();
        let scope = settings::scope(request.key.as_option())?;
        let new = request.settings.into_option().unwrap_or_default();
        let version = self.api.control.put_settings(&scope, new.clone(), 0)?;
        let warned = settings::not_honoured(&new);
        let record = settings::record(&scope, new, version).into();
        Ok(warnings::with(
            CreateSettingsResponse { settingsRecord: record, ..CreateSettingsResponse::default() },
            &warned,
        ))
    }

    async fn update_settings(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, UpdateSettingsRequest>,
    ) -> ServiceResult<UpdateSettingsResponse> {
        let request = request.to_owned_message();
        let scope = settings::scope(request.key.as_option())?;
        if request.version == 0 {
            return Err(Invalid::field("version: 0 is none: say which version has been read").into());
        }
        let new = request.settings.into_option().unwrap_or_default();
        let version = self.api.control.put_settings(&scope, new.clone(), request.version)?;
        let warned = settings::not_honoured(&new);
        let record = settings::record(&scope, new, version).into();
        Ok(warnings::with(
            UpdateSettingsResponse { settingsRecord: record, ..UpdateSettingsResponse::default() },
            &warned,
        ))
    }
}
