//! What is served: which impls of the program, and by which instances.

use rpc_core::{
    SetupError,
    service::{BoundService, Instance, Provided, Registration, registrations},
};
use std::{
    any::{TypeId, type_name},
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fmt,
    sync::Arc,
};

/// What the program asked for.
#[derive(Default)]
pub(crate) struct Selection {
    explicit: Vec<Explicit>,
    bound: Vec<Arc<dyn BoundService>>,
    only: Option<Vec<String>>,
    without_collected: bool,
    provided: Provided,
}

/// An instance that was handed over.
struct Explicit {
    type_id: TypeId,
    type_name: &'static str,
    instance: Instance,
}

impl Selection {
    /// Hands an instance over.
    pub(crate) fn service<T: Send + Sync + 'static>(&mut self, service: T) {
        self.explicit.push(Explicit {
            type_id: TypeId::of::<T>(),
            type_name: type_name::<T>(),
            instance: Arc::new(service),
        });
    }

    /// Hands over a service that was made by hand.
    pub(crate) fn bound(&mut self, service: Arc<dyn BoundService>) {
        self.bound.push(service);
    }

    /// Serves these alone, more of them with each call.
    pub(crate) fn only(&mut self, names: impl IntoIterator<Item = String>) {
        self.only.get_or_insert_default().extend(names);
    }

    pub(crate) fn collected(&mut self, collected: bool) {
        self.without_collected = !collected;
    }

    pub(crate) fn provide<T: Send + Sync + 'static>(&mut self, value: T) {
        self.provided.insert(value);
    }

    /// The services, each with its instance.
    ///
    /// # Errors
    ///
    /// No service at all, a name that there is none of, two impls of one service, or an impl
    /// without an instance; the text names the places and what to do.
    pub(crate) async fn make(self) -> Result<Vec<Arc<dyn BoundService>>, SetupError> {
        self.services_from(&registrations()).await
    }

    async fn services_from(
        self,
        all: &[&'static Registration],
    ) -> Result<Vec<Arc<dyn BoundService>>, SetupError> {
        self.check_explicit(all)?;
        let chosen = self.chosen(all)?;
        let mut services = self.wanted_bound();
        refuse_duplicates(&chosen, &services)?;
        if chosen.is_empty() && services.is_empty() {
            return Err(self.nothing(all));
        }
        refuse_two_inits(&chosen)?;
        let mut instances: HashMap<TypeId, Instance> =
            self.explicit.iter().map(|e| (e.type_id, Arc::clone(&e.instance))).collect();
        // An init before a Default of the same type: it says how the instance is to be made.
        let mut order = chosen.clone();
        order.sort_by_key(|registration| !registration.has_init());
        for registration in order {
            if let Entry::Vacant(missing) = instances.entry(registration.instance_type()) {
                missing.insert(registration.make(&self.provided).await?);
            }
        }
        for registration in chosen {
            let instance = instances.get(&registration.instance_type()).map(Arc::clone);
            let bound = instance.and_then(|instance| registration.bind(instance));
            services.push(bound.ok_or_else(|| {
                SetupError::new(format!("{registration}: its `init` made another type"))
            })?);
        }
        Ok(services)
    }

    /// Every instance that was handed over must be of a type with impls, and there is one of each.
    fn check_explicit(&self, all: &[&'static Registration]) -> Result<(), SetupError> {
        for (at, explicit) in self.explicit.iter().enumerate() {
            let name = explicit.type_name;
            if self.explicit[..at].iter().any(|other| other.type_id == explicit.type_id) {
                return Err(SetupError::new(format!(
                    ".service(..) was given two instances of `{name}`: one type has one instance \
                     in a server; wrap one of them in a type of its own"
                )));
            }
            if all.iter().any(|r| r.instance_type() == explicit.type_id) {
                continue;
            }
            let shared = ["alloc::sync::Arc<", "alloc::rc::Rc<", "alloc::boxed::Box<"];
            let inner = shared.iter().find_map(|w| name.strip_prefix(w)?.strip_suffix('>'));
            let hint = match inner {
                Some(inner) => format!(
                    "`{name}` is not `{inner}`: hand over the value itself, .service(value) with a \
                     `{inner}`; what it shares can be an `Arc` inside it"
                ),
                None => format!(
                    "put #[rpc_service] on its `impl .. for {name}`, or hand over a value of the \
                     type that has it"
                ),
            };
            return Err(SetupError::new(format!(
                ".service(..) was given a `{name}`, which has no #[rpc_service] impl: {hint}"
            )));
        }
        Ok(())
    }

    /// The impls to serve.
    fn chosen(
        &self,
        all: &[&'static Registration],
    ) -> Result<Vec<&'static Registration>, SetupError> {
        self.check_names(all)?;
        let is_explicit =
            |r: &Registration| self.explicit.iter().any(|e| e.type_id == r.instance_type());
        let replaced = |r: &Registration| {
            let service = r.meta().registered;
            self.bound.iter().any(|b| b.meta().registered == service)
                || all.iter().any(|o| o.meta().registered == service && is_explicit(o))
        };
        let mut chosen = Vec::new();
        for registration in all.iter().copied() {
            let meta = registration.meta();
            let served = if is_explicit(registration) {
                true
            } else {
                !self.without_collected && !replaced(registration)
            };
            if served && self.is_wanted(meta.name, meta.registered) {
                chosen.push(registration);
            }
        }
        Ok(chosen)
    }

    fn wanted_bound(&self) -> Vec<Arc<dyn BoundService>> {
        let wanted = |b: &&Arc<dyn BoundService>| {
            let meta = b.meta();
            self.is_wanted(meta.name, meta.registered)
        };
        self.bound.iter().filter(wanted).map(Arc::clone).collect()
    }

    fn is_wanted(&self, name: &str, registered: &str) -> bool {
        let matches = |wanted: &String| wanted == name || wanted == registered;
        self.only.as_ref().is_none_or(|only| only.iter().any(matches))
    }

    /// Every name in `.only(..)` must be one that there is.
    fn check_names(&self, all: &[&'static Registration]) -> Result<(), SetupError> {
        let metas =
            || all.iter().map(|r| r.meta()).chain(self.bound.iter().map(|bound| bound.meta()));
        for wanted in self.only.iter().flatten() {
            if !metas().any(|meta| *wanted == meta.name || *wanted == meta.registered) {
                let mut names: Vec<_> = metas().map(|meta| meta.registered).collect();
                names.sort_unstable();
                names.dedup();
                let there = if names.is_empty() {
                    format!("there is none at all: {LINK_HINT}")
                } else {
                    format!(
                        "there are: {}. If it is another crate's: {LINK_HINT}",
                        names.join(", ")
                    )
                };
                return Err(SetupError::new(format!(
                    ".only(..) names {wanted:?}, but no linked #[rpc_service] impl serves it; {there}"
                )));
            }
        }
        Ok(())
    }

    fn nothing(&self, all: &[&'static Registration]) -> SetupError {
        if all.is_empty() {
            return SetupError::new(format!(
                "there is nothing to serve: no #[rpc_service] impl is linked into this program; \
                 {LINK_HINT}"
            ));
        }
        let mut names: Vec<_> = all.iter().map(|r| r.meta().registered).collect();
        names.sort_unstable();
        names.dedup();
        let (why, instead) = if self.without_collected {
            (
                ".collected(false) leaves what .service(..) was given, and that was nothing",
                "hand one over, or leave .collected(false) out",
            )
        } else {
            (".only(..) leaves nothing of what there is", "name one of them")
        };
        SetupError::new(format!(
            "there is nothing to serve: {why}; there are: {}; {instead}",
            names.join(", ")
        ))
    }
}

const LINK_HINT: &str = "a crate that is never named in code is not linked, and its services \
    vanish with it: write `use your_crate as _;` in the program";

/// Two impls of one service cannot both answer.
fn refuse_duplicates(
    chosen: &[&'static Registration],
    bound: &[Arc<dyn BoundService>],
) -> Result<(), SetupError> {
    let mut by_service: BTreeMap<&str, &Registration> = BTreeMap::new();
    for registration in chosen {
        let service = registration.meta().registered;
        if let Some(other) = by_service.insert(service, registration) {
            return Err(SetupError::new(format!(
                "{service} has two implementations: {other} and {registration}: hand over the one \
                 to serve with .service(..), or give the contract versions"
            )));
        }
    }
    for (at, service) in bound.iter().enumerate() {
        let name = service.meta().registered;
        if bound[..at].iter().any(|other| other.meta().registered == name) {
            return Err(SetupError::new(format!("{name} was handed over twice")));
        }
    }
    Ok(())
}

/// Impls of one type share its instance, so they must agree how it is made.
fn refuse_two_inits(chosen: &[&'static Registration]) -> Result<(), SetupError> {
    let mut inits: HashMap<TypeId, &Registration> = HashMap::new();
    for registration in chosen.iter().filter(|registration| registration.has_init()) {
        match inits.get(&registration.instance_type()) {
            Some(other) if other.init_path() != registration.init_path() => {
                return Err(SetupError::new(format!(
                    "{other} and {registration} share one instance but name two inits, `{}` and \
                     `{}`: name one and the same, or one alone",
                    other.init_path().unwrap_or_default(),
                    registration.init_path().unwrap_or_default()
                )));
            }
            _ => {
                inits.insert(registration.instance_type(), registration);
            }
        }
    }
    Ok(())
}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let explicit: Vec<_> = self.explicit.iter().map(|e| e.type_name).collect();
        f.debug_struct("Selection")
            .field("explicit", &explicit)
            .field("only", &self.only)
            .field("collected", &!self.without_collected)
            .field("provided", &self.provided)
            .finish_non_exhaustive()
    }
}
