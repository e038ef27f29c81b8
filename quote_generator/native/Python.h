/* Python's own header, but references are counted by functions of the stable ABI: what the macros do
   differs with the Python that builds, and all shall build the same bytes. */
#include_next <Python.h>

#undef Py_INCREF
#undef Py_DECREF
#undef Py_XDECREF
#define Py_INCREF(object) Py_IncRef((PyObject *)(object))
#define Py_DECREF(object) Py_DecRef((PyObject *)(object))
#define Py_XDECREF(object) Py_DecRef((PyObject *)(object))
