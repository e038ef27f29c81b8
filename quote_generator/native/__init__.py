"""The C core: the sources, and the extension module ``_tdx`` that the build puts beside them."""
