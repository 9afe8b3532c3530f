/* Makes the lines of a .def file (core/schema.h) the members of a struct. Included again for every struct, so
 * there is no include guard. */
#undef VG_TOP
#undef VG_FIELD
#undef VG_ALIAS
#undef VG_BEGIN
#undef VG_END

#ifndef VG_MEMBER_BOOL
#define VG_MEMBER_BOOL    bool
#define VG_MEMBER_INT     int64_t
#define VG_MEMBER_SEED    uint64_t
#define VG_MEMBER_DOUBLE  double
#define VG_MEMBER_STRING  char *
#define VG_MEMBER_PATH    char *
#define VG_MEMBER_ENUM    int
#define VG_MEMBER_STRINGS vg_strings
#define VG_MEMBER_INTS    vg_ints
#define VG_MEMBER_DOUBLES vg_doubles
#endif

#define VG_TOP(name, type, initial, allowed, unit, help)            VG_MEMBER_##type name;
#define VG_FIELD(section, name, type, initial, allowed, unit, help) VG_MEMBER_##type name;
#define VG_ALIAS(section, alias, name)
#define VG_BEGIN(section, help) struct {
#define VG_END(name)                                                                                         \
    }                                                                                                        \
    name;
