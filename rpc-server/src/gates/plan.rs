//! Which limits a program has asked for, by name, and to what they apply.

use super::Limit;
use rpc_core::{
    SetupError,
    service::{MethodMeta, ServiceMeta},
};

/// The limits as they were asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct LimitPlan {
    each: Option<Limit>,
    named: Vec<(String, Limit)>,
}

impl LimitPlan {
    /// For every service that is not named.
    pub(crate) fn each(&mut self, limit: Limit) {
        self.each = Some(limit);
    }

    /// For a service or a method; a later one replaces an earlier.
    pub(crate) fn named(&mut self, name: String, limit: Limit) {
        self.named.retain(|(other, _)| *other != name);
        self.named.push((name, limit));
    }

    /// Whether all of it makes sense for what is served.
    ///
    /// # Errors
    ///
    /// A name that nothing has, with those that there are, or a limit out of range.
    pub(crate) fn check(&self, services: &[&'static ServiceMeta]) -> Result<(), SetupError> {
        if let Some(mistake) = self.each.and_then(Limit::mistake) {
            return Err(SetupError::new(format!(".limit_each({mistake})")));
        }
        for (name, limit) in &self.named {
            let refuse = |why: String| Err(SetupError::new(format!(".limit({name:?}, ..): {why}")));
            if let Some(mistake) = limit.mistake() {
                return refuse(mistake);
            }
            let (service, method) = split(name);
            let matching: Vec<_> = services.iter().filter(|meta| is(meta, service)).collect();
            if matching.is_empty() {
                let served: Vec<_> = services.iter().map(|meta| meta.registered).collect();
                return refuse(format!(
                    "no service {service:?} is served here; these are: {}",
                    served.join(", ")
                ));
            }
            let mut methods = matching.iter().flat_map(|meta| meta.methods);
            if let Some(method) = method
                && !methods.clone().any(|m| m.name == method)
            {
                let names: Vec<_> = methods.by_ref().map(|m| m.name).collect();
                return refuse(format!(
                    "{service} has no method {method:?}; it has: {}",
                    names.join(", ")
                ));
            }
        }
        Ok(())
    }

    /// The limit of a service.
    pub(crate) fn of_service(&self, meta: &ServiceMeta) -> Limit {
        self.find(meta, None).or(self.each).unwrap_or(Limit::none())
    }

    /// The limit of a method, which applies beside its service's.
    pub(crate) fn of_method(&self, meta: &ServiceMeta, method: &MethodMeta) -> Limit {
        self.find(meta, Some(method.name)).unwrap_or(Limit::none())
    }

    /// What was asked for by the name with its version, or else by the one without.
    fn find(&self, meta: &ServiceMeta, method: Option<&str>) -> Option<Limit> {
        [meta.registered, meta.name].into_iter().find_map(|service| {
            let matches = |(name, _): &&(String, Limit)| split(name) == (service, method);
            self.named.iter().find(matches).map(|(_, limit)| *limit)
        })
    }
}

/// Service and, behind a slash, method.
fn split(name: &str) -> (&str, Option<&str>) {
    match name.split_once('/') {
        Some((service, method)) => (service, Some(method)),
        None => (name, None),
    }
}

fn is(meta: &ServiceMeta, name: &str) -> bool {
    meta.registered == name || meta.name == name
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc_core::codec::Codec;

    const fn method(name: &'static str) -> MethodMeta {
        let (args, doc, output) = (&[], "", "");
        MethodMeta {
            name,
            id: 0,
            doc,
            args,
            output,
            idempotent: false,
            timeout: None,
            hash_key: None,
        }
    }

    const GET: MethodMeta = method("get");
    const SET: MethodMeta = method("set");

    const fn service(registered: &'static str, version: Option<&'static str>) -> ServiceMeta {
        ServiceMeta {
            registered,
            name: "a.Shop",
            version,
            id: 0,
            doc: "",
            codec: Codec::Named,
            methods: &[&GET, &SET],
        }
    }

    const ONE: &ServiceMeta = &service("a.Shop", None);
    const TWO: &ServiceMeta = &service("a.Shop@2", Some("2"));

    #[test]
    fn the_nearest_name_counts() {
        let mut plan = LimitPlan::default();
        assert_eq!(plan.of_service(ONE), Limit::none());
        plan.each(Limit::fixed(1));
        plan.named("a.Shop@2".into(), Limit::fixed(2));
        plan.named("a.Shop/get".into(), Limit::fixed(7));
        plan.named("a.Shop/get".into(), Limit::fixed(3));
        plan.named("a.Shop@2/get".into(), Limit::none());
        assert!(plan.check(&[ONE, TWO]).is_ok());
        assert_eq!(
            (plan.of_service(ONE), plan.of_service(TWO)),
            (Limit::fixed(1), Limit::fixed(2))
        );
        assert_eq!(plan.of_method(ONE, &GET), Limit::fixed(3));
        assert_eq!(plan.of_method(TWO, &GET), Limit::none());
        assert_eq!(plan.of_method(ONE, &SET), Limit::none());
    }

    #[test]
    fn mistakes_name_what_there_is() {
        for (name, limit, words) in [
            ("a.Shoe", Limit::fixed(1), "no service \"a.Shoe\" is served here; these are: a.Shop"),
            ("a.Shop@3", Limit::fixed(1), "no service \"a.Shop@3\""),
            ("a.Shop/put", Limit::fixed(1), "no method \"put\"; it has: get, set"),
            ("a.Shop", Limit::fixed(0), "Limit::fixed(0): write 1 to 1000000"),
        ] {
            let mut plan = LimitPlan::default();
            plan.named(name.into(), limit);
            let text = plan.check(&[ONE]).unwrap_err().to_string();
            assert!(text.contains(words) && text.contains(name), "{text}");
        }
        let mut plan = LimitPlan::default();
        plan.each(Limit::fixed(0));
        assert!(plan.check(&[ONE]).unwrap_err().to_string().contains(".limit_each("));
    }
}
