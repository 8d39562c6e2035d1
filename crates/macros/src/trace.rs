//! `#[trace]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{ItemFn, LitStr};

use crate::{signature, text, traced};

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let version = read_version(arguments)?;
    let function: ItemFn = syn::parse2(item)?;
    if function.sig.asyncness.is_none() {
        let message = "a step is an async function: recording it waits for the journal; write `async fn`";
        return Err(syn::Error::new_spanned(function.sig.fn_token, message));
    }
    let signature = signature::read(&function, "a step")?;
    let signature::Signature { names, types, output, .. } = &signature;
    let checks = signature.checks();
    let ItemFn { attrs, vis, sig, block } = &function;
    let is_doc = |attribute: &&syn::Attribute| attribute.path().is_ident("doc");
    let docs: Vec<_> = attrs.iter().filter(is_doc).collect();
    let others = attrs.iter().filter(|attribute| !is_doc(attribute));
    let others = others.map(|attribute| traced::named(attribute, &sig.ident));
    let (name, result) = (&sig.ident, &sig.output);
    let source = version.map_or_else(|| text::of_function(attrs, sig, block), |version| version.value());
    let step_name = name.to_string();
    let argument_names = names.iter().map(ToString::to_string);
    let body_name = format_ident!("__{}_body", name);
    let mut body = sig.clone();
    body.ident = body_name.clone();
    Ok(quote! {
        #(#docs)*
        #vis async fn #name(#(#names: #types),*) #result {
            #(#others)*
            #body #block

            #checks

            static STEP: ::spanwise::__private::Step = ::spanwise::__private::Step {
                function: #step_name,
                source: #source,
                arguments: &[#(#argument_names),*],
                identity: ::spanwise::__private::OnceLock::new(),
            };
            let done: ::spanwise::Result<#output> = STEP
                .run((#(#names,)*), |(#(#names,)*)| async move { ::spanwise::__private::result(#body_name(#(#names),*).await) })
                .await;
            ::spanwise::__private::result(done)
        }
    })
}

fn read_version(arguments: TokenStream) -> syn::Result<Option<LitStr>> {
    if arguments.is_empty() {
        return Ok(None);
    }
    let wrong = || syn::Error::new_spanned(&arguments, "expected `version = \"..\"`");
    let option: syn::MetaNameValue = syn::parse2(arguments.clone()).map_err(|_| wrong())?;
    match option.value {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(version), .. }) if option.path.is_ident("version") => {
            Ok(Some(version))
        }
        _ => Err(wrong()),
    }
}
