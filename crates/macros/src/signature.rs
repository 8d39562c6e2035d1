//! What a task and a step have in common: a signature whose values can cross a task border.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{
    Attribute, Expr, ExprLit, FnArg, GenericArgument, Ident, ItemFn, Lit, Meta, MetaNameValue, Pat, PathArguments,
    ReturnType, Type,
};

/// The parts of a signature that the macros need.
pub(crate) struct Signature {
    pub(crate) names: Vec<Ident>,
    pub(crate) types: Vec<Type>,
    pub(crate) output: Type,
    /// The doc comments of the arguments.
    pub(crate) docs: Vec<String>,
}

impl Signature {
    /// Has each type checked where it stands: a message about one that is no value points at it.
    pub(crate) fn checks(&self) -> TokenStream {
        let is_unit = |kind: &&Type| matches!(kind, Type::Tuple(tuple) if tuple.elems.is_empty());
        let output = Some(&self.output).filter(|output| !is_unit(output));
        let checks = self.types.iter().chain(output);
        let checks = checks.map(|kind| quote_spanned!(kind.span()=> ::spanwise::__private::is_value::<#kind>();));
        quote!(const _: fn() = || { #(#checks)* };)
    }
}

/// Flyte's tasks have no limit here; tuples of the crate end at this many.
const MAX_ARGUMENTS: usize = 12;

/// Reads a signature. `what` is `a task` or `a step`.
pub(crate) fn read(function: &ItemFn, what: &str) -> syn::Result<Signature> {
    let signature = &function.sig;
    if !signature.generics.params.is_empty() || signature.generics.where_clause.is_some() {
        let message =
            format!("{what} cannot be generic: its values have one type on the wire; write one function per type");
        return Err(match &signature.generics.where_clause {
            Some(clause) if signature.generics.params.is_empty() => syn::Error::new_spanned(clause, message),
            _ => syn::Error::new_spanned(&signature.generics, message),
        });
    }
    if let Some(unsafety) = signature.unsafety {
        return Err(syn::Error::new(unsafety.span(), format!("{what} cannot be unsafe")));
    }
    let (mut names, mut types) = (Vec::new(), Vec::new());
    for input in &signature.inputs {
        let (name, kind) = read_argument(input, what)?;
        names.push(name);
        types.push(kind);
    }
    if let Some(extra) = signature.inputs.iter().nth(MAX_ARGUMENTS) {
        return Err(syn::Error::new_spanned(
            extra,
            format!("{what} takes at most {MAX_ARGUMENTS} arguments: put them into a struct"),
        ));
    }
    let docs_of = |input: &FnArg| match input {
        FnArg::Typed(argument) => docs(&argument.attrs),
        FnArg::Receiver(_) => String::new(),
    };
    let docs = signature.inputs.iter().map(docs_of).collect();
    Ok(Signature { names, types, output: read_output(function, what)?, docs })
}

/// The lines of a doc comment, without the blank that stands before each.
pub(crate) fn docs(attributes: &[Attribute]) -> String {
    let line = |attribute: &Attribute| match &attribute.meta {
        Meta::NameValue(MetaNameValue { path, value: Expr::Lit(ExprLit { lit: Lit::Str(text), .. }), .. })
            if path.is_ident("doc") =>
        {
            let text = text.value();
            Some(text.strip_prefix(' ').unwrap_or(&text).to_owned())
        }
        _ => None,
    };
    attributes.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

/// Takes the doc comments off the arguments: a function of Rust's own may have none there.
pub(crate) fn remove_docs(signature: &mut syn::Signature) {
    for input in &mut signature.inputs {
        if let FnArg::Typed(argument) = input {
            argument.attrs.retain(|attribute| !attribute.path().is_ident("doc"));
        }
    }
}

fn read_argument(input: &FnArg, what: &str) -> syn::Result<(Ident, Type)> {
    let argument = match input {
        FnArg::Typed(argument) => argument,
        FnArg::Receiver(receiver) => {
            let message = format!("{what} cannot take `self`: make it a free function with owned arguments");
            return Err(syn::Error::new_spanned(receiver, message));
        }
    };
    let Pat::Ident(name) = &*argument.pat else {
        let message = format!("expected a name: the arguments of {what} are known by their names");
        return Err(syn::Error::new_spanned(&argument.pat, message));
    };
    match &*argument.ty {
        Type::Reference(reference) => {
            let message = format!(
                "{what} takes owned values, found a reference: it may run in another process; try `{}`",
                owned(reference)
            );
            Err(syn::Error::new_spanned(reference, message))
        }
        Type::ImplTrait(kind) => {
            let message = format!("{what} cannot be generic: name the type of `{}`", name.ident);
            Err(syn::Error::new_spanned(kind, message))
        }
        kind => Ok((name.ident.clone(), kind.clone())),
    }
}

/// What to write instead of a reference.
fn owned(reference: &syn::TypeReference) -> String {
    let elem = &reference.elem;
    match &**elem {
        Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
        Type::Slice(slice) => {
            format!("Vec<{}>", written(&slice.elem))
        }
        other => written(other),
    }
}

/// A type as a person writes it, without the spaces between its tokens.
fn written(kind: &Type) -> String {
    let text = quote!(#kind).to_string();
    text.replace(" < ", "<").replace(" >", ">").replace(" :: ", "::").replace(" ,", ",")
}

/// The `T` of the `Result<T>` that the function returns.
fn read_output(function: &ItemFn, what: &str) -> syn::Result<Type> {
    let name = &function.sig.ident;
    let ReturnType::Type(_, output) = &function.sig.output else {
        let message = format!("{what} returns a `Result`: write `-> spanwise::Result<()>`");
        return Err(syn::Error::new(name.span(), message));
    };
    let wrong = || {
        let found = written(output);
        let message = format!("{what} returns a `Result`, found `{found}`: write `-> spanwise::Result<{found}>`");
        syn::Error::new_spanned(output, message)
    };
    let Type::Path(path) = &**output else { return Err(wrong()) };
    let last = path.path.segments.last().filter(|last| last.ident == "Result").ok_or_else(wrong)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return Err(wrong()) };
    match arguments.args.first() {
        Some(GenericArgument::Type(output)) => Ok(output.clone()),
        _ => Err(wrong()),
    }
}
