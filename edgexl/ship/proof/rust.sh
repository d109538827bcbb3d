need cargo "install Rust 1.63 or newer"
package={title}.crate
tar xzf "$package" -C work
folder=work/{title}
bundle=$folder/{file}
cp vectors.rs "$folder/examples/vectors.rs"
tool cargo --version
tool rustc --version
CARGO_TARGET_DIR=work/target cargo run --quiet --offline --release --manifest-path "$folder/Cargo.toml" \
  --example vectors -- {vectors} >work/answers || true
