/* POSIX access ACLs as the kernel keeps them (linux/posix_acl_xattr.h), and what each user may do by one (acl(5)). */
#ifndef ACL_H
#define ACL_H

#include <endian.h>
#include <stdint.h>
#include <string.h>
#include <sys/xattr.h>

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

enum { ACL_OWNER = 1, ACL_USER = 2, ACL_GROUP = 4, ACL_NAMED_GROUP = 8, ACL_MASK = 16, ACL_OTHER = 32 };
enum { ACL_MOST = 128 };

struct acl {
    int count;
    struct acl_entry {
        uint16_t tag, permissions;
        uint32_t id;
    } entries[ACL_MOST];
};

static inline void acl_add(struct acl *a, int tag, int permissions, uint32_t id)
{
    a->entries[a->count++] = (struct acl_entry){ (uint16_t)tag, (uint16_t)permissions, id };
}

/* With one named user and one named group, who have numbers `user` and `group`. */
static inline struct acl acl_of(int owner, uint32_t user, int user_may, int group_may, uint32_t group, int named_may, int mask, int other)
{
    struct acl a = { 0 };
    acl_add(&a, ACL_OWNER, owner, UINT32_MAX);
    acl_add(&a, ACL_USER, user_may, user);
    acl_add(&a, ACL_GROUP, group_may, UINT32_MAX);
    acl_add(&a, ACL_NAMED_GROUP, named_may, group);
    acl_add(&a, ACL_MASK, mask, UINT32_MAX);
    acl_add(&a, ACL_OTHER, other, UINT32_MAX);
    return a;
}

/* That of a file which has only a mode. */
static inline struct acl acl_of_mode(unsigned mode)
{
    struct acl a = { 0 };
    acl_add(&a, ACL_OWNER, mode >> 6 & 7, UINT32_MAX);
    acl_add(&a, ACL_GROUP, mode >> 3 & 7, UINT32_MAX);
    acl_add(&a, ACL_OTHER, mode & 7, UINT32_MAX);
    return a;
}

static inline size_t acl_encode(const struct acl *a, unsigned char *out)
{
    uint32_t version = htole32(2);
    memcpy(out, &version, 4);
    for (int i = 0; i < a->count; i++) {
        uint16_t tag = htole16(a->entries[i].tag), permissions = htole16(a->entries[i].permissions);
        uint32_t id = htole32(a->entries[i].id);
        memcpy(out + 4 + 8 * i, &tag, 2);
        memcpy(out + 6 + 8 * i, &permissions, 2);
        memcpy(out + 8 + 8 * i, &id, 4);
    }
    return 4 + 8 * (size_t)a->count;
}

static inline struct acl acl_decode(const unsigned char *bytes, size_t len)
{
    struct acl a = { 0 };
    for (size_t at = 4; at + 8 <= len && a.count < ACL_MOST; at += 8) {
        uint16_t tag, permissions;
        uint32_t id;
        memcpy(&tag, bytes + at, 2);
        memcpy(&permissions, bytes + at + 2, 2);
        memcpy(&id, bytes + at + 4, 4);
        acl_add(&a, le16toh(tag), le16toh(permissions), le32toh(id));
    }
    return a;
}

/* A user, and the groups that the user is in: bit n is group n. */
struct principal {
    uint32_t uid, groups;
};

/* May this user do all of `wanted` with a file of this owner and group? */
static inline int acl_permits(const struct acl *a, uint32_t owner, uint32_t group, struct principal who, int wanted)
{
    int mask = 7, in_group = 0, granted = 0, other = 0;
    for (int i = 0; i < a->count; i++)
        if (a->entries[i].tag == ACL_MASK)
            mask = a->entries[i].permissions;
    for (int i = 0; i < a->count; i++) {
        const struct acl_entry *e = &a->entries[i];
        int gives = (e->permissions & (e->tag == ACL_OWNER || e->tag == ACL_OTHER ? 7 : mask) & wanted) == wanted;
        if (e->tag == ACL_OWNER && who.uid == owner)
            return gives;
        if (e->tag == ACL_USER && who.uid == e->id && who.uid != owner)
            return gives;
        if ((e->tag == ACL_GROUP && (who.groups >> group & 1) != 0) || (e->tag == ACL_NAMED_GROUP && (who.groups >> e->id & 1) != 0)) {
            in_group = 1;
            granted |= gives;
        }
        if (e->tag == ACL_OTHER)
            other = gives;
    }
    return in_group ? granted : other;
}

#endif
