namespace lectern {}
