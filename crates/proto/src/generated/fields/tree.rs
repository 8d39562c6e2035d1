// @generated from the .proto files. DO NOT EDIT.
/// `flyteidl2.app.AutoscalingConfig`.
pub static APP_AUTOSCALING_CONFIG: Declared = Declared {
    name: "flyteidl2.app.AutoscalingConfig",
    fields: &[
        Field { number: 1, name: "replicas", message: Some(&APP_REPLICAS) },
        Field { number: 2, name: "scaledown_period", message: None },
        Field { number: 3, name: "scaling_metric", message: Some(&APP_SCALING_METRIC) },
    ],
};
/// `flyteidl2.app.Concurrency`.
pub static APP_CONCURRENCY: Declared = Declared {
    name: "flyteidl2.app.Concurrency",
    fields: &[
        Field { number: 1, name: "target_value", message: None },
    ],
};
/// `flyteidl2.app.Identifier`.
pub static APP_IDENTIFIER: Declared = Declared {
    name: "flyteidl2.app.Identifier",
    fields: &[
        Field { number: 1, name: "org", message: None },
        Field { number: 2, name: "project", message: None },
        Field { number: 3, name: "domain", message: None },
        Field { number: 4, name: "name", message: None },
    ],
};
/// `flyteidl2.app.ImageSpec`.
pub static APP_IMAGE_SPEC: Declared = Declared {
    name: "flyteidl2.app.ImageSpec",
    fields: &[
        Field { number: 1, name: "tag", message: None },
        Field { number: 2, name: "build_job_url", message: None },
    ],
};
/// `flyteidl2.app.ImageSpecSet`.
pub static APP_IMAGE_SPEC_SET: Declared = Declared {
    name: "flyteidl2.app.ImageSpecSet",
    fields: &[
        Field { number: 1, name: "images", message: Some(&APP_IMAGE_SPEC) },
    ],
};
/// `flyteidl2.app.IngressConfig`.
pub static APP_INGRESS_CONFIG: Declared = Declared {
    name: "flyteidl2.app.IngressConfig",
    fields: &[
        Field { number: 1, name: "private", message: None },
        Field { number: 2, name: "subdomain", message: None },
        Field { number: 3, name: "cname", message: None },
    ],
};
/// `flyteidl2.app.Input`.
pub static APP_INPUT: Declared = Declared {
    name: "flyteidl2.app.Input",
    fields: &[
        Field { number: 1, name: "name", message: None },
        Field { number: 2, name: "string_value", message: None },
        Field { number: 5, name: "app_id", message: Some(&APP_IDENTIFIER) },
        Field { number: 6, name: "artifact_id", message: Some(&CORE_ARTIFACT_VERSION_ID) },
    ],
};
/// `flyteidl2.app.InputList`.
pub static APP_INPUT_LIST: Declared = Declared {
    name: "flyteidl2.app.InputList",
    fields: &[
        Field { number: 1, name: "items", message: Some(&APP_INPUT) },
    ],
};
/// `flyteidl2.app.Link`.
pub static APP_LINK: Declared = Declared {
    name: "flyteidl2.app.Link",
    fields: &[
        Field { number: 1, name: "path", message: None },
        Field { number: 2, name: "title", message: None },
        Field { number: 3, name: "is_relative", message: None },
    ],
};
/// `flyteidl2.app.Profile`.
pub static APP_PROFILE: Declared = Declared {
    name: "flyteidl2.app.Profile",
    fields: &[
        Field { number: 1, name: "type", message: None },
        Field { number: 2, name: "name", message: None },
        Field { number: 3, name: "short_description", message: None },
        Field { number: 4, name: "icon_url", message: None },
    ],
};
/// `flyteidl2.app.Replicas`.
pub static APP_REPLICAS: Declared = Declared {
    name: "flyteidl2.app.Replicas",
    fields: &[
        Field { number: 1, name: "min", message: None },
        Field { number: 2, name: "max", message: None },
    ],
};
/// `flyteidl2.app.RequestRate`.
pub static APP_REQUEST_RATE: Declared = Declared {
    name: "flyteidl2.app.RequestRate",
    fields: &[
        Field { number: 1, name: "target_value", message: None },
    ],
};
/// `flyteidl2.app.ScalingMetric`.
pub static APP_SCALING_METRIC: Declared = Declared {
    name: "flyteidl2.app.ScalingMetric",
    fields: &[
        Field { number: 1, name: "request_rate", message: Some(&APP_REQUEST_RATE) },
        Field { number: 2, name: "concurrency", message: Some(&APP_CONCURRENCY) },
    ],
};
/// `flyteidl2.app.SecurityContext`.
pub static APP_SECURITY_CONTEXT: Declared = Declared {
    name: "flyteidl2.app.SecurityContext",
    fields: &[
        Field { number: 1, name: "run_as", message: Some(&CORE_IDENTITY) },
        Field { number: 2, name: "secrets", message: Some(&CORE_SECRET) },
        Field { number: 5, name: "allow_anonymous", message: None },
    ],
};
/// `flyteidl2.app.Spec`.
pub static APP_SPEC: Declared = Declared {
    name: "flyteidl2.app.Spec",
    fields: &[
        Field { number: 1, name: "container", message: Some(&CORE_CONTAINER) },
        Field { number: 2, name: "pod", message: Some(&CORE_K8S_POD) },
        Field { number: 3, name: "autoscaling", message: Some(&APP_AUTOSCALING_CONFIG) },
        Field { number: 4, name: "ingress", message: Some(&APP_INGRESS_CONFIG) },
        Field { number: 5, name: "desired_state", message: None },
        Field { number: 6, name: "cluster_pool", message: None },
        Field { number: 7, name: "images", message: Some(&APP_IMAGE_SPEC_SET) },
        Field { number: 8, name: "security_context", message: Some(&APP_SECURITY_CONTEXT) },
        Field { number: 9, name: "extended_resources", message: Some(&CORE_EXTENDED_RESOURCES) },
        Field { number: 10, name: "runtime_metadata", message: Some(&COMMON_RUNTIME_METADATA) },
        Field { number: 11, name: "profile", message: Some(&APP_PROFILE) },
        Field { number: 12, name: "creator", message: None },
        Field { number: 13, name: "inputs", message: Some(&APP_INPUT_LIST) },
        Field { number: 14, name: "links", message: Some(&APP_LINK) },
        Field { number: 15, name: "timeouts", message: Some(&APP_TIMEOUT_CONFIG) },
        Field { number: 16, name: "cluster", message: None },
    ],
};
/// `flyteidl2.app.TimeoutConfig`.
pub static APP_TIMEOUT_CONFIG: Declared = Declared {
    name: "flyteidl2.app.TimeoutConfig",
    fields: &[
        Field { number: 1, name: "request_timeout", message: None },
    ],
};
/// `flyteidl2.common.OffloadedInputData`.
pub static COMMON_OFFLOADED_INPUT_DATA: Declared = Declared {
    name: "flyteidl2.common.OffloadedInputData",
    fields: &[
        Field { number: 1, name: "uri", message: None },
        Field { number: 2, name: "inputs_hash", message: None },
    ],
};
/// `flyteidl2.common.Relation`.
pub static COMMON_RELATION: Declared = Declared {
    name: "flyteidl2.common.Relation",
    fields: &[
        Field { number: 1, name: "related_to", message: Some(&COMMON_RUN_IDENTIFIER) },
        Field { number: 2, name: "relation_type", message: None },
    ],
};
/// `flyteidl2.common.RunIdentifier`.
pub static COMMON_RUN_IDENTIFIER: Declared = Declared {
    name: "flyteidl2.common.RunIdentifier",
    fields: &[
        Field { number: 1, name: "org", message: None },
        Field { number: 2, name: "project", message: None },
        Field { number: 3, name: "domain", message: None },
        Field { number: 4, name: "name", message: None },
    ],
};
/// `flyteidl2.common.RuntimeMetadata`.
pub static COMMON_RUNTIME_METADATA: Declared = Declared {
    name: "flyteidl2.common.RuntimeMetadata",
    fields: &[
        Field { number: 1, name: "type", message: None },
        Field { number: 2, name: "version", message: None },
        Field { number: 3, name: "flavor", message: None },
    ],
};
/// `flyteidl2.core.ArtifactBindingData`.
pub static CORE_ARTIFACT_BINDING_DATA: Declared = Declared {
    name: "flyteidl2.core.ArtifactBindingData",
    fields: &[
        Field { number: 5, name: "partition_key", message: None },
        Field { number: 6, name: "bind_to_time_partition", message: None },
        Field { number: 7, name: "time_transform", message: Some(&CORE_TIME_TRANSFORM) },
    ],
};
/// `flyteidl2.core.ArtifactID`.
pub static CORE_ARTIFACT_I_D: Declared = Declared {
    name: "flyteidl2.core.ArtifactID",
    fields: &[
        Field { number: 1, name: "artifact_key", message: Some(&CORE_ARTIFACT_KEY) },
        Field { number: 2, name: "version", message: None },
        Field { number: 3, name: "partitions", message: Some(&CORE_PARTITIONS) },
        Field { number: 4, name: "time_partition", message: Some(&CORE_TIME_PARTITION) },
    ],
};
/// `flyteidl2.core.ArtifactKey`.
pub static CORE_ARTIFACT_KEY: Declared = Declared {
    name: "flyteidl2.core.ArtifactKey",
    fields: &[
        Field { number: 1, name: "project", message: None },
        Field { number: 2, name: "domain", message: None },
        Field { number: 3, name: "name", message: None },
        Field { number: 4, name: "org", message: None },
    ],
};
/// `flyteidl2.core.ArtifactQuery`.
pub static CORE_ARTIFACT_QUERY: Declared = Declared {
    name: "flyteidl2.core.ArtifactQuery",
    fields: &[
        Field { number: 1, name: "artifact_id", message: Some(&CORE_ARTIFACT_I_D) },
        Field { number: 2, name: "artifact_tag", message: Some(&CORE_ARTIFACT_TAG) },
        Field { number: 3, name: "uri", message: None },
        Field { number: 4, name: "binding", message: Some(&CORE_ARTIFACT_BINDING_DATA) },
    ],
};
/// `flyteidl2.core.ArtifactTag`.
pub static CORE_ARTIFACT_TAG: Declared = Declared {
    name: "flyteidl2.core.ArtifactTag",
    fields: &[
        Field { number: 1, name: "artifact_key", message: Some(&CORE_ARTIFACT_KEY) },
        Field { number: 2, name: "value", message: Some(&CORE_LABEL_VALUE) },
    ],
};
/// `flyteidl2.core.ArtifactVersionId`.
pub static CORE_ARTIFACT_VERSION_ID: Declared = Declared {
    name: "flyteidl2.core.ArtifactVersionId",
    fields: &[
        Field { number: 1, name: "key", message: Some(&CORE_ARTIFACT_KEY) },
        Field { number: 2, name: "version", message: None },
    ],
};
/// `flyteidl2.core.Backoff`.
pub static CORE_BACKOFF: Declared = Declared {
    name: "flyteidl2.core.Backoff",
    fields: &[
        Field { number: 1, name: "base", message: None },
        Field { number: 2, name: "factor", message: None },
        Field { number: 3, name: "cap", message: None },
    ],
};
/// `flyteidl2.core.Container`.
pub static CORE_CONTAINER: Declared = Declared {
    name: "flyteidl2.core.Container",
    fields: &[
        Field { number: 1, name: "image", message: None },
        Field { number: 2, name: "command", message: None },
        Field { number: 3, name: "args", message: None },
        Field { number: 4, name: "resources", message: Some(&CORE_RESOURCES) },
        Field { number: 5, name: "env", message: Some(&CORE_KEY_VALUE_PAIR) },
        Field { number: 6, name: "config", message: Some(&CORE_KEY_VALUE_PAIR) },
        Field { number: 7, name: "ports", message: Some(&CORE_CONTAINER_PORT) },
        Field { number: 9, name: "data_config", message: Some(&CORE_DATA_LOADING_CONFIG) },
        Field { number: 10, name: "architecture", message: None },
    ],
};
/// `flyteidl2.core.ContainerPort`.
pub static CORE_CONTAINER_PORT: Declared = Declared {
    name: "flyteidl2.core.ContainerPort",
    fields: &[
        Field { number: 1, name: "container_port", message: None },
        Field { number: 2, name: "name", message: None },
    ],
};
/// `flyteidl2.core.DataLoadingConfig`.
pub static CORE_DATA_LOADING_CONFIG: Declared = Declared {
    name: "flyteidl2.core.DataLoadingConfig",
    fields: &[
        Field { number: 1, name: "enabled", message: None },
        Field { number: 2, name: "input_path", message: None },
        Field { number: 3, name: "output_path", message: None },
        Field { number: 4, name: "format", message: None },
        Field { number: 5, name: "io_strategy", message: Some(&CORE_I_O_STRATEGY) },
        Field { number: 6, name: "file_input_layout", message: None },
    ],
};
/// `flyteidl2.core.ExtendedResources`.
pub static CORE_EXTENDED_RESOURCES: Declared = Declared {
    name: "flyteidl2.core.ExtendedResources",
    fields: &[
        Field { number: 1, name: "gpu_accelerator", message: Some(&CORE_G_P_U_ACCELERATOR) },
        Field { number: 2, name: "shared_memory", message: Some(&CORE_SHARED_MEMORY) },
    ],
};
/// `flyteidl2.core.GPUAccelerator`.
pub static CORE_G_P_U_ACCELERATOR: Declared = Declared {
    name: "flyteidl2.core.GPUAccelerator",
    fields: &[
        Field { number: 1, name: "device", message: None },
        Field { number: 2, name: "unpartitioned", message: None },
        Field { number: 3, name: "partition_size", message: None },
        Field { number: 4, name: "device_class", message: None },
        Field { number: 5, name: "accelerator_model", message: None },
    ],
};
/// `flyteidl2.core.IOStrategy`.
pub static CORE_I_O_STRATEGY: Declared = Declared {
    name: "flyteidl2.core.IOStrategy",
    fields: &[
        Field { number: 1, name: "download_mode", message: None },
        Field { number: 2, name: "upload_mode", message: None },
    ],
};
/// `flyteidl2.core.Identifier`.
pub static CORE_IDENTIFIER: Declared = Declared {
    name: "flyteidl2.core.Identifier",
    fields: &[
        Field { number: 1, name: "resource_type", message: None },
        Field { number: 2, name: "project", message: None },
        Field { number: 3, name: "domain", message: None },
        Field { number: 4, name: "name", message: None },
        Field { number: 5, name: "version", message: None },
        Field { number: 6, name: "org", message: None },
    ],
};
/// `flyteidl2.core.Identity`.
pub static CORE_IDENTITY: Declared = Declared {
    name: "flyteidl2.core.Identity",
    fields: &[
        Field { number: 1, name: "iam_role", message: None },
        Field { number: 2, name: "k8s_service_account", message: None },
        Field { number: 3, name: "oauth2_client", message: Some(&CORE_O_AUTH2_CLIENT) },
        Field { number: 4, name: "execution_identity", message: None },
    ],
};
/// `flyteidl2.core.InputBindingData`.
pub static CORE_INPUT_BINDING_DATA: Declared = Declared {
    name: "flyteidl2.core.InputBindingData",
    fields: &[
        Field { number: 1, name: "var", message: None },
    ],
};
/// `flyteidl2.core.K8sObjectMetadata`.
pub static CORE_K8S_OBJECT_METADATA: Declared = Declared {
    name: "flyteidl2.core.K8sObjectMetadata",
    fields: &[
        Field { number: 1, name: "labels", message: None },
        Field { number: 2, name: "annotations", message: None },
    ],
};
/// `flyteidl2.core.K8sPod`.
pub static CORE_K8S_POD: Declared = Declared {
    name: "flyteidl2.core.K8sPod",
    fields: &[
        Field { number: 1, name: "metadata", message: Some(&CORE_K8S_OBJECT_METADATA) },
        Field { number: 2, name: "pod_spec", message: None },
        Field { number: 3, name: "data_config", message: Some(&CORE_DATA_LOADING_CONFIG) },
        Field { number: 4, name: "primary_container_name", message: None },
    ],
};
/// `flyteidl2.core.KeyValuePair`.
pub static CORE_KEY_VALUE_PAIR: Declared = Declared {
    name: "flyteidl2.core.KeyValuePair",
    fields: &[
        Field { number: 1, name: "key", message: None },
        Field { number: 2, name: "value", message: None },
    ],
};
/// `flyteidl2.core.LabelValue`.
pub static CORE_LABEL_VALUE: Declared = Declared {
    name: "flyteidl2.core.LabelValue",
    fields: &[
        Field { number: 1, name: "static_value", message: None },
        Field { number: 2, name: "time_value", message: None },
        Field { number: 3, name: "triggered_binding", message: Some(&CORE_ARTIFACT_BINDING_DATA) },
        Field { number: 4, name: "input_binding", message: Some(&CORE_INPUT_BINDING_DATA) },
        Field { number: 5, name: "runtime_binding", message: Some(&CORE_RUNTIME_BINDING) },
    ],
};
/// `flyteidl2.core.OAuth2Client`.
pub static CORE_O_AUTH2_CLIENT: Declared = Declared {
    name: "flyteidl2.core.OAuth2Client",
    fields: &[
        Field { number: 1, name: "client_id", message: None },
        Field { number: 2, name: "client_secret", message: Some(&CORE_SECRET) },
    ],
};
/// `flyteidl2.core.OAuth2TokenRequest`.
pub static CORE_O_AUTH2_TOKEN_REQUEST: Declared = Declared {
    name: "flyteidl2.core.OAuth2TokenRequest",
    fields: &[
        Field { number: 1, name: "name", message: None },
        Field { number: 2, name: "type", message: None },
        Field { number: 3, name: "client", message: Some(&CORE_O_AUTH2_CLIENT) },
        Field { number: 4, name: "idp_discovery_endpoint", message: None },
        Field { number: 5, name: "token_endpoint", message: None },
    ],
};
/// `flyteidl2.core.Parameter`.
pub static CORE_PARAMETER: Declared = Declared {
    name: "flyteidl2.core.Parameter",
    fields: &[
        Field { number: 1, name: "var", message: Some(&CORE_VARIABLE) },
        Field { number: 2, name: "default", message: None },
        Field { number: 3, name: "required", message: None },
        Field { number: 4, name: "artifact_query", message: Some(&CORE_ARTIFACT_QUERY) },
        Field { number: 5, name: "artifact_id", message: Some(&CORE_ARTIFACT_I_D) },
    ],
};
/// `flyteidl2.core.Partitions`.
pub static CORE_PARTITIONS: Declared = Declared {
    name: "flyteidl2.core.Partitions",
    fields: &[
        Field { number: 1, name: "value", message: None },
    ],
};
/// `flyteidl2.core.Resources`.
pub static CORE_RESOURCES: Declared = Declared {
    name: "flyteidl2.core.Resources",
    fields: &[
        Field { number: 1, name: "requests", message: Some(&CORE_RESOURCES_RESOURCE_ENTRY) },
        Field { number: 2, name: "limits", message: Some(&CORE_RESOURCES_RESOURCE_ENTRY) },
    ],
};
/// `flyteidl2.core.Resources.ResourceEntry`.
pub static CORE_RESOURCES_RESOURCE_ENTRY: Declared = Declared {
    name: "flyteidl2.core.Resources.ResourceEntry",
    fields: &[
        Field { number: 1, name: "name", message: None },
        Field { number: 2, name: "value", message: None },
    ],
};
/// `flyteidl2.core.RetryStrategy`.
pub static CORE_RETRY_STRATEGY: Declared = Declared {
    name: "flyteidl2.core.RetryStrategy",
    fields: &[
        Field { number: 5, name: "retries", message: None },
        Field { number: 6, name: "backoff", message: Some(&CORE_BACKOFF) },
    ],
};
/// `flyteidl2.core.ReusePolicy`.
pub static CORE_REUSE_POLICY: Declared = Declared {
    name: "flyteidl2.core.ReusePolicy",
    fields: &[
        Field { number: 1, name: "min_replicas", message: None },
        Field { number: 2, name: "max_replicas", message: None },
        Field { number: 3, name: "concurrency", message: None },
        Field { number: 4, name: "idle_ttl", message: None },
        Field { number: 5, name: "scaledown_ttl", message: None },
        Field { number: 6, name: "scope", message: None },
    ],
};
/// `flyteidl2.core.RuntimeBinding`.
pub static CORE_RUNTIME_BINDING: Declared = Declared {
    name: "flyteidl2.core.RuntimeBinding",
    fields: &[
    ],
};
/// `flyteidl2.core.RuntimeMetadata`.
pub static CORE_RUNTIME_METADATA: Declared = Declared {
    name: "flyteidl2.core.RuntimeMetadata",
    fields: &[
        Field { number: 1, name: "type", message: None },
        Field { number: 2, name: "version", message: None },
        Field { number: 3, name: "flavor", message: None },
    ],
};
/// `flyteidl2.core.Secret`.
pub static CORE_SECRET: Declared = Declared {
    name: "flyteidl2.core.Secret",
    fields: &[
        Field { number: 1, name: "group", message: None },
        Field { number: 2, name: "group_version", message: None },
        Field { number: 3, name: "key", message: None },
        Field { number: 4, name: "mount_requirement", message: None },
        Field { number: 5, name: "env_var", message: None },
    ],
};
/// `flyteidl2.core.SecurityContext`.
pub static CORE_SECURITY_CONTEXT: Declared = Declared {
    name: "flyteidl2.core.SecurityContext",
    fields: &[
        Field { number: 1, name: "run_as", message: Some(&CORE_IDENTITY) },
        Field { number: 2, name: "secrets", message: Some(&CORE_SECRET) },
        Field { number: 3, name: "tokens", message: Some(&CORE_O_AUTH2_TOKEN_REQUEST) },
    ],
};
/// `flyteidl2.core.SharedMemory`.
pub static CORE_SHARED_MEMORY: Declared = Declared {
    name: "flyteidl2.core.SharedMemory",
    fields: &[
        Field { number: 1, name: "mount_path", message: None },
        Field { number: 2, name: "mount_name", message: None },
        Field { number: 3, name: "size_limit", message: None },
    ],
};
/// `flyteidl2.core.Sql`.
pub static CORE_SQL: Declared = Declared {
    name: "flyteidl2.core.Sql",
    fields: &[
        Field { number: 1, name: "statement", message: None },
        Field { number: 2, name: "dialect", message: None },
    ],
};
/// `flyteidl2.core.TaskLog`.
pub static CORE_TASK_LOG: Declared = Declared {
    name: "flyteidl2.core.TaskLog",
    fields: &[
        Field { number: 1, name: "uri", message: None },
        Field { number: 2, name: "name", message: None },
        Field { number: 3, name: "message_format", message: None },
        Field { number: 4, name: "ttl", message: None },
        Field { number: 5, name: "ShowWhilePending", message: None },
        Field { number: 6, name: "HideOnceFinished", message: None },
        Field { number: 7, name: "link_type", message: None },
        Field { number: 8, name: "ready", message: None },
        Field { number: 9, name: "icon_uri", message: None },
    ],
};
/// `flyteidl2.core.TaskMetadata`.
pub static CORE_TASK_METADATA: Declared = Declared {
    name: "flyteidl2.core.TaskMetadata",
    fields: &[
        Field { number: 1, name: "discoverable", message: None },
        Field { number: 2, name: "runtime", message: Some(&CORE_RUNTIME_METADATA) },
        Field { number: 4, name: "timeout", message: None },
        Field { number: 5, name: "retries", message: Some(&CORE_RETRY_STRATEGY) },
        Field { number: 6, name: "discovery_version", message: None },
        Field { number: 7, name: "deprecated_error_message", message: None },
        Field { number: 8, name: "interruptible", message: None },
        Field { number: 9, name: "cache_serializable", message: None },
        Field { number: 11, name: "tags", message: None },
        Field { number: 12, name: "pod_template_name", message: None },
        Field { number: 13, name: "cache_ignore_input_vars", message: None },
        Field { number: 14, name: "is_eager", message: None },
        Field { number: 15, name: "generates_deck", message: None },
        Field { number: 16, name: "metadata", message: Some(&CORE_K8S_OBJECT_METADATA) },
        Field { number: 17, name: "debuggable", message: None },
        Field { number: 18, name: "log_links", message: Some(&CORE_TASK_LOG) },
        Field { number: 19, name: "image_build_run", message: Some(&COMMON_RUN_IDENTIFIER) },
        Field { number: 20, name: "is_entrypoint", message: None },
        Field { number: 21, name: "code_bundle_uri", message: None },
        Field { number: 22, name: "timeouts", message: Some(&CORE_TIMEOUT_STRATEGY) },
        Field { number: 23, name: "produces_artifacts", message: None },
        Field { number: 24, name: "cache_max_age", message: None },
    ],
};
/// `flyteidl2.core.TaskTemplate`.
pub static CORE_TASK_TEMPLATE: Declared = Declared {
    name: "flyteidl2.core.TaskTemplate",
    fields: &[
        Field { number: 1, name: "id", message: Some(&CORE_IDENTIFIER) },
        Field { number: 2, name: "type", message: None },
        Field { number: 3, name: "metadata", message: Some(&CORE_TASK_METADATA) },
        Field { number: 4, name: "interface", message: Some(&CORE_TYPED_INTERFACE) },
        Field { number: 5, name: "custom", message: None },
        Field { number: 6, name: "container", message: Some(&CORE_CONTAINER) },
        Field { number: 7, name: "task_type_version", message: None },
        Field { number: 8, name: "security_context", message: Some(&CORE_SECURITY_CONTEXT) },
        Field { number: 9, name: "extended_resources", message: Some(&CORE_EXTENDED_RESOURCES) },
        Field { number: 16, name: "config", message: None },
        Field { number: 17, name: "k8s_pod", message: Some(&CORE_K8S_POD) },
        Field { number: 18, name: "sql", message: Some(&CORE_SQL) },
        Field { number: 19, name: "reuse_policy", message: Some(&CORE_REUSE_POLICY) },
        Field { number: 20, name: "worker_kind", message: None },
    ],
};
/// `flyteidl2.core.TimePartition`.
pub static CORE_TIME_PARTITION: Declared = Declared {
    name: "flyteidl2.core.TimePartition",
    fields: &[
        Field { number: 1, name: "value", message: Some(&CORE_LABEL_VALUE) },
        Field { number: 2, name: "granularity", message: None },
        Field { number: 3, name: "key", message: None },
    ],
};
/// `flyteidl2.core.TimeTransform`.
pub static CORE_TIME_TRANSFORM: Declared = Declared {
    name: "flyteidl2.core.TimeTransform",
    fields: &[
        Field { number: 1, name: "transform", message: None },
        Field { number: 2, name: "op", message: None },
    ],
};
/// `flyteidl2.core.TimeoutStrategy`.
pub static CORE_TIMEOUT_STRATEGY: Declared = Declared {
    name: "flyteidl2.core.TimeoutStrategy",
    fields: &[
        Field { number: 1, name: "queued_timeout", message: None },
        Field { number: 2, name: "deadline", message: None },
    ],
};
/// `flyteidl2.core.TypedInterface`.
pub static CORE_TYPED_INTERFACE: Declared = Declared {
    name: "flyteidl2.core.TypedInterface",
    fields: &[
        Field { number: 1, name: "inputs", message: Some(&CORE_VARIABLE_MAP) },
        Field { number: 2, name: "outputs", message: Some(&CORE_VARIABLE_MAP) },
    ],
};
/// `flyteidl2.core.Variable`.
pub static CORE_VARIABLE: Declared = Declared {
    name: "flyteidl2.core.Variable",
    fields: &[
        Field { number: 1, name: "type", message: None },
        Field { number: 2, name: "description", message: None },
        Field { number: 3, name: "artifact_partial_id", message: Some(&CORE_ARTIFACT_I_D) },
        Field { number: 4, name: "artifact_tag", message: Some(&CORE_ARTIFACT_TAG) },
    ],
};
/// `flyteidl2.core.VariableEntry`.
pub static CORE_VARIABLE_ENTRY: Declared = Declared {
    name: "flyteidl2.core.VariableEntry",
    fields: &[
        Field { number: 1, name: "key", message: None },
        Field { number: 2, name: "value", message: Some(&CORE_VARIABLE) },
    ],
};
/// `flyteidl2.core.VariableMap`.
pub static CORE_VARIABLE_MAP: Declared = Declared {
    name: "flyteidl2.core.VariableMap",
    fields: &[
        Field { number: 1, name: "variables", message: Some(&CORE_VARIABLE_ENTRY) },
    ],
};
/// `flyteidl2.imagebuilder.AptPackages`.
pub static IMAGEBUILDER_APT_PACKAGES: Declared = Declared {
    name: "flyteidl2.imagebuilder.AptPackages",
    fields: &[
        Field { number: 1, name: "packages", message: None },
        Field { number: 2, name: "secret_mounts", message: Some(&CORE_SECRET) },
    ],
};
/// `flyteidl2.imagebuilder.Commands`.
pub static IMAGEBUILDER_COMMANDS: Declared = Declared {
    name: "flyteidl2.imagebuilder.Commands",
    fields: &[
        Field { number: 2, name: "cmd", message: None },
        Field { number: 3, name: "secret_mounts", message: Some(&CORE_SECRET) },
    ],
};
/// `flyteidl2.imagebuilder.CopyConfig`.
pub static IMAGEBUILDER_COPY_CONFIG: Declared = Declared {
    name: "flyteidl2.imagebuilder.CopyConfig",
    fields: &[
        Field { number: 1, name: "src", message: None },
        Field { number: 2, name: "dst", message: None },
    ],
};
/// `flyteidl2.imagebuilder.Env`.
pub static IMAGEBUILDER_ENV: Declared = Declared {
    name: "flyteidl2.imagebuilder.Env",
    fields: &[
        Field { number: 1, name: "env_variables", message: None },
    ],
};
/// `flyteidl2.imagebuilder.ImageSpec`.
pub static IMAGEBUILDER_IMAGE_SPEC: Declared = Declared {
    name: "flyteidl2.imagebuilder.ImageSpec",
    fields: &[
        Field { number: 1, name: "base_image", message: None },
        Field { number: 2, name: "python_version", message: None },
        Field { number: 3, name: "layers", message: Some(&IMAGEBUILDER_LAYER) },
        Field { number: 4, name: "platform", message: None },
    ],
};
/// `flyteidl2.imagebuilder.Layer`.
pub static IMAGEBUILDER_LAYER: Declared = Declared {
    name: "flyteidl2.imagebuilder.Layer",
    fields: &[
        Field { number: 1, name: "apt_packages", message: Some(&IMAGEBUILDER_APT_PACKAGES) },
        Field { number: 2, name: "pip_packages", message: Some(&IMAGEBUILDER_PIP_PACKAGES) },
        Field { number: 3, name: "commands", message: Some(&IMAGEBUILDER_COMMANDS) },
        Field { number: 4, name: "requirements", message: Some(&IMAGEBUILDER_REQUIREMENTS) },
        Field { number: 5, name: "python_wheels", message: Some(&IMAGEBUILDER_PYTHON_WHEELS) },
        Field { number: 6, name: "workdir", message: Some(&IMAGEBUILDER_WORK_DIR) },
        Field { number: 7, name: "copy_config", message: Some(&IMAGEBUILDER_COPY_CONFIG) },
        Field { number: 8, name: "uv_project", message: Some(&IMAGEBUILDER_U_V_PROJECT) },
        Field { number: 9, name: "env", message: Some(&IMAGEBUILDER_ENV) },
        Field { number: 10, name: "poetry_project", message: Some(&IMAGEBUILDER_POETRY_PROJECT) },
    ],
};
/// `flyteidl2.imagebuilder.PipOptions`.
pub static IMAGEBUILDER_PIP_OPTIONS: Declared = Declared {
    name: "flyteidl2.imagebuilder.PipOptions",
    fields: &[
        Field { number: 2, name: "index_url", message: None },
        Field { number: 3, name: "extra_index_urls", message: None },
        Field { number: 4, name: "pre", message: None },
        Field { number: 5, name: "extra_args", message: None },
    ],
};
/// `flyteidl2.imagebuilder.PipPackages`.
pub static IMAGEBUILDER_PIP_PACKAGES: Declared = Declared {
    name: "flyteidl2.imagebuilder.PipPackages",
    fields: &[
        Field { number: 1, name: "packages", message: None },
        Field { number: 2, name: "options", message: Some(&IMAGEBUILDER_PIP_OPTIONS) },
        Field { number: 3, name: "secret_mounts", message: Some(&CORE_SECRET) },
    ],
};
/// `flyteidl2.imagebuilder.PoetryProject`.
pub static IMAGEBUILDER_POETRY_PROJECT: Declared = Declared {
    name: "flyteidl2.imagebuilder.PoetryProject",
    fields: &[
        Field { number: 1, name: "pyproject", message: None },
        Field { number: 2, name: "poetry_lock", message: None },
        Field { number: 3, name: "extra_args", message: None },
        Field { number: 4, name: "secret_mounts", message: Some(&CORE_SECRET) },
    ],
};
/// `flyteidl2.imagebuilder.PythonWheels`.
pub static IMAGEBUILDER_PYTHON_WHEELS: Declared = Declared {
    name: "flyteidl2.imagebuilder.PythonWheels",
    fields: &[
        Field { number: 1, name: "dir", message: None },
        Field { number: 2, name: "options", message: Some(&IMAGEBUILDER_PIP_OPTIONS) },
        Field { number: 3, name: "secret_mounts", message: Some(&CORE_SECRET) },
        Field { number: 4, name: "package_name", message: None },
    ],
};
/// `flyteidl2.imagebuilder.Requirements`.
pub static IMAGEBUILDER_REQUIREMENTS: Declared = Declared {
    name: "flyteidl2.imagebuilder.Requirements",
    fields: &[
        Field { number: 1, name: "file", message: None },
        Field { number: 2, name: "options", message: Some(&IMAGEBUILDER_PIP_OPTIONS) },
        Field { number: 3, name: "secret_mounts", message: Some(&CORE_SECRET) },
    ],
};
/// `flyteidl2.imagebuilder.UVProject`.
pub static IMAGEBUILDER_U_V_PROJECT: Declared = Declared {
    name: "flyteidl2.imagebuilder.UVProject",
    fields: &[
        Field { number: 1, name: "pyproject", message: None },
        Field { number: 2, name: "uvlock", message: None },
        Field { number: 3, name: "options", message: Some(&IMAGEBUILDER_PIP_OPTIONS) },
        Field { number: 4, name: "secret_mounts", message: Some(&CORE_SECRET) },
        Field { number: 5, name: "source_dir", message: None },
    ],
};
/// `flyteidl2.imagebuilder.WorkDir`.
pub static IMAGEBUILDER_WORK_DIR: Declared = Declared {
    name: "flyteidl2.imagebuilder.WorkDir",
    fields: &[
        Field { number: 1, name: "workdir", message: None },
    ],
};
/// `flyteidl2.notification.DeliveryConfigTemplate`.
pub static NOTIFICATION_DELIVERY_CONFIG_TEMPLATE: Declared = Declared {
    name: "flyteidl2.notification.DeliveryConfigTemplate",
    fields: &[
        Field { number: 1, name: "webhook", message: Some(&NOTIFICATION_WEBHOOK_DELIVERY_TEMPLATE) },
        Field { number: 2, name: "email", message: Some(&NOTIFICATION_EMAIL_DELIVERY_TEMPLATE) },
    ],
};
/// `flyteidl2.notification.EmailDeliveryTemplate`.
pub static NOTIFICATION_EMAIL_DELIVERY_TEMPLATE: Declared = Declared {
    name: "flyteidl2.notification.EmailDeliveryTemplate",
    fields: &[
        Field { number: 1, name: "to", message: Some(&NOTIFICATION_EMAIL_RECIPIENT) },
        Field { number: 2, name: "cc", message: Some(&NOTIFICATION_EMAIL_RECIPIENT) },
        Field { number: 3, name: "bcc", message: Some(&NOTIFICATION_EMAIL_RECIPIENT) },
        Field { number: 4, name: "inline", message: Some(&NOTIFICATION_INLINE_EMAIL_TEMPLATE) },
        Field { number: 5, name: "provider_template", message: Some(&NOTIFICATION_PROVIDER_EMAIL_TEMPLATE) },
    ],
};
/// `flyteidl2.notification.EmailRecipient`.
pub static NOTIFICATION_EMAIL_RECIPIENT: Declared = Declared {
    name: "flyteidl2.notification.EmailRecipient",
    fields: &[
        Field { number: 1, name: "name", message: None },
        Field { number: 2, name: "address", message: None },
    ],
};
/// `flyteidl2.notification.InlineEmailTemplate`.
pub static NOTIFICATION_INLINE_EMAIL_TEMPLATE: Declared = Declared {
    name: "flyteidl2.notification.InlineEmailTemplate",
    fields: &[
        Field { number: 1, name: "subject", message: None },
        Field { number: 2, name: "html_template", message: None },
        Field { number: 3, name: "text_template", message: None },
    ],
};
/// `flyteidl2.notification.ProviderEmailTemplate`.
pub static NOTIFICATION_PROVIDER_EMAIL_TEMPLATE: Declared = Declared {
    name: "flyteidl2.notification.ProviderEmailTemplate",
    fields: &[
        Field { number: 1, name: "template_id", message: None },
        Field { number: 2, name: "template_data", message: None },
    ],
};
/// `flyteidl2.notification.WebhookDeliveryTemplate`.
pub static NOTIFICATION_WEBHOOK_DELIVERY_TEMPLATE: Declared = Declared {
    name: "flyteidl2.notification.WebhookDeliveryTemplate",
    fields: &[
        Field { number: 1, name: "url", message: None },
        Field { number: 2, name: "method", message: None },
        Field { number: 3, name: "headers", message: None },
        Field { number: 4, name: "body_template", message: None },
    ],
};
/// `flyteidl2.settings.AcceleratorSetting`.
pub static SETTINGS_ACCELERATOR_SETTING: Declared = Declared {
    name: "flyteidl2.settings.AcceleratorSetting",
    fields: &[
        Field { number: 1, name: "state", message: None },
        Field { number: 2, name: "accelerator_value", message: Some(&CORE_G_P_U_ACCELERATOR) },
        Field { number: 3, name: "scope_level", message: None },
    ],
};
/// `flyteidl2.settings.AppSettings`.
pub static SETTINGS_APP_SETTINGS: Declared = Declared {
    name: "flyteidl2.settings.AppSettings",
    fields: &[
        Field { number: 1, name: "disallow_anonymous", message: Some(&SETTINGS_BOOL_SETTING) },
        Field { number: 2, name: "app_dns_strategy", message: Some(&SETTINGS_STRING_SETTING) },
    ],
};
/// `flyteidl2.settings.BoolSetting`.
pub static SETTINGS_BOOL_SETTING: Declared = Declared {
    name: "flyteidl2.settings.BoolSetting",
    fields: &[
        Field { number: 1, name: "state", message: None },
        Field { number: 2, name: "bool_value", message: None },
        Field { number: 3, name: "scope_level", message: None },
    ],
};
/// `flyteidl2.settings.Int64Setting`.
pub static SETTINGS_INT64_SETTING: Declared = Declared {
    name: "flyteidl2.settings.Int64Setting",
    fields: &[
        Field { number: 1, name: "state", message: None },
        Field { number: 2, name: "int_value", message: None },
        Field { number: 3, name: "scope_level", message: None },
    ],
};
/// `flyteidl2.settings.QuantitySetting`.
pub static SETTINGS_QUANTITY_SETTING: Declared = Declared {
    name: "flyteidl2.settings.QuantitySetting",
    fields: &[
        Field { number: 1, name: "state", message: None },
        Field { number: 2, name: "quantity_value", message: None },
        Field { number: 3, name: "scope_level", message: None },
    ],
};
/// `flyteidl2.settings.RunSettings`.
pub static SETTINGS_RUN_SETTINGS: Declared = Declared {
    name: "flyteidl2.settings.RunSettings",
    fields: &[
        Field { number: 1, name: "default_queue", message: Some(&SETTINGS_STRING_SETTING) },
        Field { number: 2, name: "max_action_concurrency", message: Some(&SETTINGS_INT64_SETTING) },
        Field { number: 3, name: "run_base_dir", message: Some(&SETTINGS_STRING_SETTING) },
    ],
};
/// `flyteidl2.settings.SecuritySettings`.
pub static SETTINGS_SECURITY_SETTINGS: Declared = Declared {
    name: "flyteidl2.settings.SecuritySettings",
    fields: &[
        Field { number: 1, name: "service_account", message: Some(&SETTINGS_STRING_SETTING) },
    ],
};
/// `flyteidl2.settings.Settings`.
pub static SETTINGS_SETTINGS: Declared = Declared {
    name: "flyteidl2.settings.Settings",
    fields: &[
        Field { number: 1, name: "run", message: Some(&SETTINGS_RUN_SETTINGS) },
        Field { number: 2, name: "security", message: Some(&SETTINGS_SECURITY_SETTINGS) },
        Field { number: 3, name: "storage", message: Some(&SETTINGS_STORAGE_SETTINGS) },
        Field { number: 4, name: "task_resource", message: Some(&SETTINGS_TASK_RESOURCE_SETTINGS) },
        Field { number: 5, name: "labels", message: Some(&SETTINGS_STRING_MAP_SETTING) },
        Field { number: 6, name: "annotations", message: Some(&SETTINGS_STRING_MAP_SETTING) },
        Field { number: 7, name: "environment_variables", message: Some(&SETTINGS_STRING_MAP_SETTING) },
        Field { number: 8, name: "app", message: Some(&SETTINGS_APP_SETTINGS) },
        Field { number: 9, name: "pod_template_name", message: Some(&SETTINGS_STRING_SETTING) },
    ],
};
/// `flyteidl2.settings.StorageSettings`.
pub static SETTINGS_STORAGE_SETTINGS: Declared = Declared {
    name: "flyteidl2.settings.StorageSettings",
    fields: &[
        Field { number: 1, name: "raw_data_path", message: Some(&SETTINGS_STRING_SETTING) },
    ],
};
/// `flyteidl2.settings.StringMap`.
pub static SETTINGS_STRING_MAP: Declared = Declared {
    name: "flyteidl2.settings.StringMap",
    fields: &[
        Field { number: 1, name: "entries", message: None },
    ],
};
/// `flyteidl2.settings.StringMapSetting`.
pub static SETTINGS_STRING_MAP_SETTING: Declared = Declared {
    name: "flyteidl2.settings.StringMapSetting",
    fields: &[
        Field { number: 1, name: "state", message: None },
        Field { number: 2, name: "map_value", message: Some(&SETTINGS_STRING_MAP) },
        Field { number: 3, name: "scope_level", message: None },
    ],
};
/// `flyteidl2.settings.StringSetting`.
pub static SETTINGS_STRING_SETTING: Declared = Declared {
    name: "flyteidl2.settings.StringSetting",
    fields: &[
        Field { number: 1, name: "state", message: None },
        Field { number: 2, name: "string_value", message: None },
        Field { number: 3, name: "scope_level", message: None },
    ],
};
/// `flyteidl2.settings.TaskResourceDefaults`.
pub static SETTINGS_TASK_RESOURCE_DEFAULTS: Declared = Declared {
    name: "flyteidl2.settings.TaskResourceDefaults",
    fields: &[
        Field { number: 1, name: "cpu", message: Some(&SETTINGS_QUANTITY_SETTING) },
        Field { number: 2, name: "gpu", message: Some(&SETTINGS_QUANTITY_SETTING) },
        Field { number: 3, name: "memory", message: Some(&SETTINGS_QUANTITY_SETTING) },
        Field { number: 4, name: "storage", message: Some(&SETTINGS_QUANTITY_SETTING) },
    ],
};
/// `flyteidl2.settings.TaskResourceSettings`.
pub static SETTINGS_TASK_RESOURCE_SETTINGS: Declared = Declared {
    name: "flyteidl2.settings.TaskResourceSettings",
    fields: &[
        Field { number: 1, name: "min", message: Some(&SETTINGS_TASK_RESOURCE_DEFAULTS) },
        Field { number: 2, name: "max", message: Some(&SETTINGS_TASK_RESOURCE_DEFAULTS) },
        Field { number: 3, name: "mirror_limits_request", message: Some(&SETTINGS_BOOL_SETTING) },
        Field { number: 4, name: "default_accelerator", message: Some(&SETTINGS_ACCELERATOR_SETTING) },
    ],
};
/// `flyteidl2.task.Annotations`.
pub static TASK_ANNOTATIONS: Declared = Declared {
    name: "flyteidl2.task.Annotations",
    fields: &[
        Field { number: 1, name: "values", message: None },
    ],
};
/// `flyteidl2.task.CacheConfig`.
pub static TASK_CACHE_CONFIG: Declared = Declared {
    name: "flyteidl2.task.CacheConfig",
    fields: &[
        Field { number: 1, name: "overwrite_cache", message: None },
        Field { number: 2, name: "cache_lookup_scope", message: None },
    ],
};
/// `flyteidl2.task.DefaultSettings`.
pub static TASK_DEFAULT_SETTINGS: Declared = Declared {
    name: "flyteidl2.task.DefaultSettings",
    fields: &[
        Field { number: 1, name: "pod_template_name", message: None },
        Field { number: 2, name: "task_resource_defaults", message: Some(&TASK_TASK_RESOURCE_DEFAULTS) },
    ],
};
/// `flyteidl2.task.DocumentationEntity`.
pub static TASK_DOCUMENTATION_ENTITY: Declared = Declared {
    name: "flyteidl2.task.DocumentationEntity",
    fields: &[
        Field { number: 1, name: "short_description", message: None },
        Field { number: 2, name: "long_description", message: None },
        Field { number: 3, name: "source_code", message: Some(&TASK_SOURCE_CODE) },
    ],
};
/// `flyteidl2.task.Environment`.
pub static TASK_ENVIRONMENT: Declared = Declared {
    name: "flyteidl2.task.Environment",
    fields: &[
        Field { number: 1, name: "name", message: None },
        Field { number: 2, name: "description", message: None },
    ],
};
/// `flyteidl2.task.Envs`.
pub static TASK_ENVS: Declared = Declared {
    name: "flyteidl2.task.Envs",
    fields: &[
        Field { number: 1, name: "values", message: Some(&CORE_KEY_VALUE_PAIR) },
    ],
};
/// `flyteidl2.task.InlineRule`.
pub static TASK_INLINE_RULE: Declared = Declared {
    name: "flyteidl2.task.InlineRule",
    fields: &[
        Field { number: 1, name: "on_phases", message: None },
        Field { number: 2, name: "delivery_config_name", message: None },
        Field { number: 3, name: "delivery_template", message: Some(&NOTIFICATION_DELIVERY_CONFIG_TEMPLATE) },
    ],
};
/// `flyteidl2.task.InlineRuleList`.
pub static TASK_INLINE_RULE_LIST: Declared = Declared {
    name: "flyteidl2.task.InlineRuleList",
    fields: &[
        Field { number: 1, name: "rules", message: Some(&TASK_INLINE_RULE) },
    ],
};
/// `flyteidl2.task.Inputs`.
pub static TASK_INPUTS: Declared = Declared {
    name: "flyteidl2.task.Inputs",
    fields: &[
        Field { number: 1, name: "literals", message: Some(&TASK_NAMED_LITERAL) },
        Field { number: 2, name: "context", message: Some(&CORE_KEY_VALUE_PAIR) },
    ],
};
/// `flyteidl2.task.Labels`.
pub static TASK_LABELS: Declared = Declared {
    name: "flyteidl2.task.Labels",
    fields: &[
        Field { number: 1, name: "values", message: None },
    ],
};
/// `flyteidl2.task.NamedLiteral`.
pub static TASK_NAMED_LITERAL: Declared = Declared {
    name: "flyteidl2.task.NamedLiteral",
    fields: &[
        Field { number: 1, name: "name", message: None },
        Field { number: 2, name: "value", message: None },
    ],
};
/// `flyteidl2.task.NamedParameter`.
pub static TASK_NAMED_PARAMETER: Declared = Declared {
    name: "flyteidl2.task.NamedParameter",
    fields: &[
        Field { number: 1, name: "name", message: None },
        Field { number: 2, name: "parameter", message: Some(&CORE_PARAMETER) },
    ],
};
/// `flyteidl2.task.RawDataStorage`.
pub static TASK_RAW_DATA_STORAGE: Declared = Declared {
    name: "flyteidl2.task.RawDataStorage",
    fields: &[
        Field { number: 1, name: "raw_data_prefix", message: None },
    ],
};
/// `flyteidl2.task.Recover`.
pub static TASK_RECOVER: Declared = Declared {
    name: "flyteidl2.task.Recover",
    fields: &[
        Field { number: 1, name: "force_rerun_actions", message: None },
    ],
};
/// `flyteidl2.task.RunSpec`.
pub static TASK_RUN_SPEC: Declared = Declared {
    name: "flyteidl2.task.RunSpec",
    fields: &[
        Field { number: 1, name: "labels", message: Some(&TASK_LABELS) },
        Field { number: 2, name: "annotations", message: Some(&TASK_ANNOTATIONS) },
        Field { number: 3, name: "envs", message: Some(&TASK_ENVS) },
        Field { number: 4, name: "interruptible", message: None },
        Field { number: 5, name: "overwrite_cache", message: None },
        Field { number: 6, name: "queue", message: None },
        Field { number: 7, name: "raw_data_storage", message: Some(&TASK_RAW_DATA_STORAGE) },
        Field { number: 8, name: "security_context", message: Some(&CORE_SECURITY_CONTEXT) },
        Field { number: 9, name: "cache_config", message: Some(&TASK_CACHE_CONFIG) },
        Field { number: 10, name: "notification_rule_name", message: None },
        Field { number: 11, name: "notification_rules", message: Some(&TASK_INLINE_RULE_LIST) },
        Field { number: 12, name: "run_start_time", message: None },
        Field { number: 13, name: "max_action_concurrency", message: None },
        Field { number: 14, name: "run_base_dir", message: None },
        Field { number: 15, name: "related_to", message: Some(&COMMON_RUN_IDENTIFIER) },
        Field { number: 16, name: "cluster_pool", message: None },
        Field { number: 17, name: "task_spec_source", message: None },
        Field { number: 18, name: "relation", message: Some(&COMMON_RELATION) },
        Field { number: 19, name: "recover", message: Some(&TASK_RECOVER) },
        Field { number: 20, name: "default_settings", message: Some(&TASK_DEFAULT_SETTINGS) },
    ],
};
/// `flyteidl2.task.SourceCode`.
pub static TASK_SOURCE_CODE: Declared = Declared {
    name: "flyteidl2.task.SourceCode",
    fields: &[
        Field { number: 1, name: "link", message: None },
    ],
};
/// `flyteidl2.task.TaskResourceDefaults`.
pub static TASK_TASK_RESOURCE_DEFAULTS: Declared = Declared {
    name: "flyteidl2.task.TaskResourceDefaults",
    fields: &[
        Field { number: 1, name: "requests", message: Some(&CORE_RESOURCES_RESOURCE_ENTRY) },
        Field { number: 2, name: "max", message: Some(&CORE_RESOURCES_RESOURCE_ENTRY) },
        Field { number: 3, name: "default_accelerator", message: Some(&CORE_G_P_U_ACCELERATOR) },
    ],
};
/// `flyteidl2.task.TaskSpec`.
pub static TASK_TASK_SPEC: Declared = Declared {
    name: "flyteidl2.task.TaskSpec",
    fields: &[
        Field { number: 1, name: "task_template", message: Some(&CORE_TASK_TEMPLATE) },
        Field { number: 2, name: "default_inputs", message: Some(&TASK_NAMED_PARAMETER) },
        Field { number: 3, name: "short_name", message: None },
        Field { number: 4, name: "environment", message: Some(&TASK_ENVIRONMENT) },
        Field { number: 5, name: "documentation", message: Some(&TASK_DOCUMENTATION_ENTITY) },
    ],
};
/// `flyteidl2.task.TaskTriggerSpec`.
pub static TASK_TASK_TRIGGER_SPEC: Declared = Declared {
    name: "flyteidl2.task.TaskTriggerSpec",
    fields: &[
        Field { number: 1, name: "active", message: None },
        Field { number: 2, name: "inputs", message: Some(&TASK_INPUTS) },
        Field { number: 3, name: "run_spec", message: Some(&TASK_RUN_SPEC) },
        Field { number: 4, name: "description", message: None },
        Field { number: 5, name: "offloaded_input_data", message: Some(&COMMON_OFFLOADED_INPUT_DATA) },
    ],
};
/// `flyteidl2.trigger.TriggerSpec`.
pub static TRIGGER_TRIGGER_SPEC: Declared = Declared {
    name: "flyteidl2.trigger.TriggerSpec",
    fields: &[
        Field { number: 2, name: "inputs", message: Some(&TASK_INPUTS) },
        Field { number: 3, name: "run_spec", message: Some(&TASK_RUN_SPEC) },
        Field { number: 4, name: "active", message: None },
        Field { number: 5, name: "task_version", message: None },
        Field { number: 6, name: "description", message: None },
        Field { number: 7, name: "offloaded_input_data", message: Some(&COMMON_OFFLOADED_INPUT_DATA) },
    ],
};
