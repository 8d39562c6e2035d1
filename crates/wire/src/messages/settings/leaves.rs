//! The single settings in the message of all of them: a list of them in one function, for whoever lays one message over another.

use spanwise_proto::flyteidl2::settings::{
    AcceleratorSetting, BoolSetting, Int64Setting, QuantitySetting, ScopeLevel, SettingState, Settings, StringMap,
    StringMapSetting, StringSetting, TaskResourceDefaults,
};
use spanwise_proto::{Message, MessageField, ProtoBox};

/// A single setting.
pub(super) trait Leaf {
    /// Says of which scope it is.
    fn set_level(&mut self, level: ScopeLevel);
    /// Whether its scope says anything about it.
    fn state(&self) -> Option<SettingState>;
}

/// A single setting that another one may be laid over.
trait Layer: Leaf + Message + Default {
    /// Takes over what a narrower scope says.
    fn cover(&mut self, above: Self) {
        *self = above;
    }
}

macro_rules! leaves {
    ($($name:ty),*) => {
        $(impl Leaf for $name {
            fn set_level(&mut self, level: ScopeLevel) {
                self.scope_level = level.into();
            }

            fn state(&self) -> Option<SettingState> {
                self.state.as_known()
            }
        })*
    };
}

leaves!(StringSetting, Int64Setting, BoolSetting, QuantitySetting, AcceleratorSetting, StringMapSetting);

impl Layer for StringSetting {}
impl Layer for Int64Setting {}
impl Layer for BoolSetting {}
impl Layer for QuantitySetting {}
impl Layer for AcceleratorSetting {}

impl Layer for StringMapSetting {
    /// Of a map each entry counts by itself.
    fn cover(&mut self, above: StringMapSetting) {
        let has_both = [self.state(), above.state()] == [Some(SettingState::SETTING_STATE_VALUE); 2];
        let below = std::mem::replace(self, above);
        if has_both {
            let StringMap { entries: below, .. } = below.map_value.into_option().unwrap_or_default();
            let own = &mut self.map_value.get_or_insert_default().entries;
            for (key, value) in below {
                own.entry(key).or_insert(value);
            }
        }
    }
}

/// What is done with each setting, as it is in one message and in another.
trait Visit {
    fn leaf<T: Layer, P: ProtoBox<T>>(
        &mut self,
        setting: &mut MessageField<T, P>,
        other: Option<&mut MessageField<T, P>>,
    );
}

/// Every setting that there is, in one message and, where there is another, in that too.
fn walk(settings: &mut Settings, mut other: Option<&mut Settings>, visit: &mut impl Visit) {
    macro_rules! visit {
        ($own:expr, $other:expr, $($name:ident),*) => {{
            let (own, mut other) = ($own, $other);
            $(visit.leaf(&mut own.$name, other.as_deref_mut().map(|other| &mut other.$name));)*
        }};
    }
    macro_rules! group {
        ($group:ident: $($name:ident),*) => {
            visit!(
                settings.$group.get_or_insert_default(),
                other.as_deref_mut().map(|other| other.$group.get_or_insert_default()),
                $($name),*
            );
        };
    }
    group!(run: default_queue, max_action_concurrency, run_base_dir);
    group!(security: service_account);
    group!(storage: raw_data_path);
    group!(task_resource: mirror_limits_request, default_accelerator);
    group!(app: disallow_anonymous, app_dns_strategy);
    visit!(&mut *settings, other.as_deref_mut(), labels, annotations, environment_variables, pod_template_name);
    let resources = settings.task_resource.get_or_insert_default();
    let mut others = other.map(|other| other.task_resource.get_or_insert_default());
    walk_resources(&mut resources.min, others.as_deref_mut().map(|other| &mut other.min), visit);
    walk_resources(&mut resources.max, others.map(|other| &mut other.max), visit);
    remove_empty(settings);
}

fn walk_resources<P: ProtoBox<TaskResourceDefaults>>(
    resources: &mut MessageField<TaskResourceDefaults, P>,
    other: Option<&mut MessageField<TaskResourceDefaults, P>>,
    visit: &mut impl Visit,
) {
    let own = resources.get_or_insert_default();
    let mut other = other.map(|other| other.get_or_insert_default());
    macro_rules! visit {
        ($($name:ident),*) => {
            $(visit.leaf(&mut own.$name, other.as_deref_mut().map(|other| &mut other.$name));)*
        };
    }
    visit!(cpu, gpu, memory, storage);
    take_if_empty(resources);
}

/// Groups in which nothing is are not there.
fn remove_empty(settings: &mut Settings) {
    take_if_empty(&mut settings.run);
    take_if_empty(&mut settings.security);
    take_if_empty(&mut settings.storage);
    take_if_empty(&mut settings.task_resource);
    take_if_empty(&mut settings.app);
}

fn take_if_empty<T: Default + PartialEq, P: ProtoBox<T>>(group: &mut MessageField<T, P>) {
    if group.as_option().is_some_and(|group| *group == T::default()) {
        *group = MessageField::none();
    }
}

/// Does something with each setting that is there.
pub(super) fn each_leaf(settings: &mut Settings, work: &mut dyn FnMut(&mut dyn Leaf)) {
    struct Each<'a>(&'a mut dyn FnMut(&mut dyn Leaf));
    impl Visit for Each<'_> {
        fn leaf<T: Layer, P: ProtoBox<T>>(
            &mut self,
            setting: &mut MessageField<T, P>,
            _other: Option<&mut MessageField<T, P>>,
        ) {
            setting.as_option_mut().into_iter().for_each(|setting| (self.0)(setting));
        }
    }
    walk(settings, None, &mut Each(work));
}

/// Lays the settings of a narrower scope over those of wider ones. What has no value above lets what is below through.
pub(super) fn lay_over(all: &mut Settings, mut above: Settings, level: ScopeLevel) {
    struct Over(ScopeLevel);
    impl Visit for Over {
        fn leaf<T: Layer, P: ProtoBox<T>>(
            &mut self,
            setting: &mut MessageField<T, P>,
            other: Option<&mut MessageField<T, P>>,
        ) {
            let above = other.and_then(|other| std::mem::take(other).into_option());
            let says = |setting: &T| setting.state() != Some(SettingState::SETTING_STATE_INHERIT);
            if let Some(mut above) = above.filter(says) {
                above.set_level(self.0);
                setting.get_or_insert_default().cover(above);
            }
        }
    }
    walk(all, Some(&mut above), &mut Over(level));
}

/// Leaves nothing but what has a value.
pub(super) fn remove_without_value(settings: &mut Settings) {
    struct Remove;
    impl Visit for Remove {
        fn leaf<T: Layer, P: ProtoBox<T>>(
            &mut self,
            setting: &mut MessageField<T, P>,
            _other: Option<&mut MessageField<T, P>>,
        ) {
            let has_value = |setting: &T| setting.state() == Some(SettingState::SETTING_STATE_VALUE);
            if !setting.as_option().is_some_and(has_value) {
                *setting = MessageField::none();
            }
        }
    }
    walk(settings, None, &mut Remove);
}
