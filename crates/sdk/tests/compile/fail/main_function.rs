//! What `#[spanwise::main]` does not take.

mod not_async {
    #[spanwise::main]
    fn main() -> spanwise::Result<()> {
        Ok(())
    }
}

mod with_arguments {
    #[spanwise::main]
    async fn main(arguments: Vec<String>) -> spanwise::Result<()> {
        drop(arguments);
        Ok(())
    }
}

mod another_name {
    #[spanwise::main]
    async fn program() -> spanwise::Result<()> {
        Ok(())
    }
}

mod without_a_result {
    #[spanwise::main]
    async fn main() {}
}

mod with_a_value {
    #[spanwise::main]
    async fn main() -> spanwise::Result<u8> {
        Ok(1)
    }
}

mod with_options {
    #[spanwise::main(flavor = "current_thread")]
    async fn main() -> spanwise::Result<()> {
        Ok(())
    }
}

mod generic {
    #[spanwise::main]
    async fn main<T>() -> spanwise::Result<()> {
        Ok(())
    }
}

mod on_something_else {
    #[spanwise::main]
    struct Main;
}

mod with_an_error_that_cannot_be_ours {
    #[spanwise::main]
    async fn main() -> Result<(), u8> {
        Err(1)
    }
}

fn main() {}
