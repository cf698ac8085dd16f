//! What fills a layer.
