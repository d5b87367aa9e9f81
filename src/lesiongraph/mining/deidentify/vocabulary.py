"""The words, terms and code schemes that may stay. What is not listed here is taken for a name.

Words are compared in lower case. A word that is also the patient's (or a physician's) name in the object
at hand does not stay either, whatever this list says.
"""

# ruff: noqa: SIM905  (a list literal of a thousand words is a thousand lines)
from __future__ import annotations

import re

WORDS = frozenset(
    """
    abd abdomen abdominal abdomino abscess adenocarcinoma adenopathy adrenal air airway airways algorithm
    alveolar an and aneurysm angio angiography angle annotation annotations ann ant anterior aorta aortic
    apex apical ap appendix area arm arms arrow arterial arteries artery artifact artifacts ascending
    ascites asc at atelectasis attenuation average avg axial axilla axillary axis axes azygos background
    base basal baseline benign bidirectional bilateral bile biopsy bladder blood body bolus bone boneplus
    bones boost bowel bpl brain brainstem breast bronchi bronchial bronchus bulky bx calcification
    calcified calvarium cancer cap carcinoma cardiac carina caudal caudate cavity cavitary cecum celiac
    center central cerebellum cerebral cerebrum cervical cervix chest chiasm chst cholecyst circle
    clavicle cm cochlea coil colon colonic colorectal complete computed confluent consolidation contour
    contours contralateral contrast control cor coronal coronary corpus cortex costal couch cranial crop
    crus ct cta ctv cuboid cyst cystic data def deep default deg degree degrees delayed density derived
    desc descending description detail device diameter diameters diaphragm diffusion dimension distal
    distance dome dorsal dose duct ductal duodenal duodenum early edge edema effusion elbow ellipse
    emphysema endo enhanced enhancement enhancing enlarged entire epidural equivocal eso esophageal
    esophagus exam excl exclude excluded excluding exhale expiration external extracranial extremity eye
    eyes face facial fat fatty femoral femur fibroma fibrosis fibula field finding findings first fissure
    flexure focal foot for forearm fossa frame freehand frontal fu fundus follow up gallbladder ganglia
    gantry gastric gland glands glottis graft great greater groin ground glass group groove gtv gy hand
    hard hd head heart helical helix hemangioma hematoma hemi hemithorax hepatic hernia hilar hilum hip
    hips hounsfield hr hrct hu humerus hypodense hyperdense hypo iac id idose iliac iliacus ilium image
    images imaging impression in index indeterminate infarct inferior infiltrate inguinal inhale inner
    inspiration internal interval intestine intra intrahepatic ips ipsi ipsilateral iris ischium isotropic
    itv iv ivc jaw jejunum joint kernel kev key kidney kidneys knee kvp labelled laryngeal larynx lateral
    lat left leg length lens lesion lesions lesser level line lingula lipoma liver livers lll ln lobe
    lobes localizer locator long low lower lt lts ltd lul lumbar lung lungs lymph lymphadenopathy
    lymphangitic lymphoma lytic mal malignant mandible manual margin mask mass masses max maxilla
    maxillary maximum mean meas measure measurement measurements medial median mediastinal mediastinum
    medium melanoma meninges mesenteric mesentery metal metastases metastasis metastatic mets met mid
    middle min minimum minor major minus mip mixed ml mm mono mpr mpv multi multiple muscle muscles
    myocardium nasal nasopharynx neck necrosis necrotic neoplasm nerve new nipple no nod nodal node nodes
    nodular nodule nodules non none noncontrast normal not number obs occipital oblique oesophagus off
    omental omentum on optic or oral orbit orbits organ organs original origin oropharynx osseous other
    outer ovarian ovary pa palate palpable pancreas pancreatic para paraaortic parenchyma parenchymal
    parietal parotid partial patella patient pe pediatric pelvic pelvis percent perfusion perianal
    pericardial pericardium perihepatic perineum perineural peritoneal peritoneum pet pharynx phase planar
    plan plane planning plaque pleura pleural plus point points polygon polyline popliteal porta portal
    position positive post posterior postop pre precarinal preliminary preop prep primary prior probe
    procedure prostate protocol proximal psoas ptv pubis pulmonary qa radius range ratio recon
    reconstruction rectal rectangle rectosigmoid rectum reference ref region renal report res resection
    residual resolution response result retroperitoneal retroperitoneum review rib ribs right rll rml roi
    rois root rotator round rt rtstruct rul ruler rwv sacral sacrum sag sagittal salivary sarcoma scalp
    scan scanogram scapula sclerotic scout scr sd secondary section seg segment segmentation segmentations
    segments sella semi seminal sequence serie series set sharp shoulder short sigmoid sinus sinuses site
    size skeleton skin skull slice slices sm small smooth soft solid solitary source spatial sphenoid
    spinal spine spleen splenic standard state sternum stomach std stent structure structures study sub
    subcarinal subcutaneous subpleural sulcus superior suprarenal supraclavicular surface surgical suv
    suvbw survey surview suture tail target temporal test testis text thick thickness thin thoracic thorax
    throat thrombus thymus thyroid tibia tissue tissues to tool tongue tonsil topo topogram total toshiba
    trachea tracheal tracking transverse trans trauma treated triphasic trunk tube tumor tumors tumour
    tumours type ulna ultra unenhanced unknown upper ureter ureters urethra urinary uterine uterus value
    vagina vascular vein veins vena venous ventral ventricle vertebra vertebrae vertebral vessel vessels
    vib view viewer visceral volume voi vulva wall wet wfbp whole width window with without w wo wrist xs
    xy z zone siemens ge medical systems philips canon healthineers healthcare fujifilm hitachi varian
    neusoft united shimadzu highdicom open contributors dcmjs ohif cornerstone slicer mevis bidirectional
    elliptical rectangle freehand planarfreehandroi arrowannotate cobb livewire spline l r s w h x y z
    abdomenpelvis headneck chestabdpel dorsal lwk bwk hws lunge leber niere thorax becken kopf hals
    leberherd rundherd metastase tumeur foie poumon rein foyer neu alt mit ohne und links rechts bookmark
    bookmarks lesiongraph phantom synthetic user manual trial automatic reader observer auto session
    removed structure gtvn gtvp itvp cord larynx swallow csa
    """.split()
)

# Defined terms and enumerated values of the code strings (CS) that CT, SR, PR, RTSTRUCT and SEG use (PS3.3).
TERMS = frozenset(
    """
    CT MR PT NM US CR DX MG XA RF PR SR KO SEG RTSTRUCT RTPLAN RTDOSE REG RWV OT SC PX IO ES XC ECG HD DOC
    SM M3D ORIGINAL DERIVED PRIMARY SECONDARY AXIAL LOCALIZER SCOUT TOPOGRAM SURVIEW SCANOGRAM VOLUME
    HELIX HELICAL SEQUENCE SPIRAL MIP MPR MINIP AVERAGE NONE OTHER MIXED UNKNOWN YES NO CONSTANT QUANTITY
    RESAMPLED VOLUME_RENDER CURVED REFORMATTED DIXON SPI CT_SOM5 CT_SOM7 CT_SOM8 CSA PARALLEL MODE
    AXIAL_HELIX STATIC DYNAMIC PERFUSION ANGIO MONO_E VMI REST SUM SUBTRACTION RECON PROJECTION SCREEN
    SAVE REPORT MONOCHROME1 MONOCHROME2 RGB YBR_FULL YBR_FULL_422 YBR_PARTIAL_420 YBR_ICT YBR_RCT PALETTE
    COLOR ISO_15444_1 ISO_14495_1 ISO_10918_1 00 01 IDENTITY INVERSE LINEAR LINEAR_EXACT SIGMOID HFS HFP
    FFS FFP HFDR HFDL FFDR FFDL LFP LFS RFP RFS AFDR AFDL PFDR PFDL CW CC INTO OUT OF GANTRY M F O L R B U
    H A P CONTAINER NUM CODE TEXT UIDREF PNAME DATE TIME DATETIME IMAGE COMPOSITE WAVEFORM SCOORD SCOORD3D
    TCOORD TABLE CONTAINS HAS PROPERTIES OBS CONTEXT ACQ CONCEPT MOD INFERRED FROM SELECTED SEPARATE
    CONTINUOUS COMPLETE PARTIAL VERIFIED UNVERIFIED FINAL PRELIMINARY DCMR POINT MULTIPOINT POLYLINE
    CIRCLE ELLIPSE POLYGON ELLIPSOID INTERPOLATED RECTANGLE ARROW CROSSHAIR RULER AXIS INFINITELINE
    CUTLINE RANGELINE MULTILINE PIXEL DISPLAY MATRIX FRAME SCALE TO FIT TRUE SIZE MAGNIFY SOLID DASHED
    LEFT RIGHT CENTER TOP MIDDLE BOTTOM CLOSED_PLANAR OPEN_PLANAR OPEN_NONPLANAR CLOSEDPLANAR_XOR
    AUTOMATIC SEMIAUTOMATIC MANUAL GTV CTV PTV ITV ORGAN EXTERNAL AVOIDANCE SUPPORT BOLUS CAVITY
    CONTRAST_AGENT IRRAD_VOLUME REGISTRATION ISOCENTER CONTROL DOSE_REGION MARKER FIXATION
    DOSE_MEASUREMENT BRACHY_CHANNEL TREATED_VOLUME APPROVED UNAPPROVED REJECTED BINARY FRACTIONAL LABELMAP
    PROBABILITY OCCUPANCY 3D 2D TILED_FULL TILED_SPARSE SLIDE PATIENT FIDUCIAL GEOMETRY MODIFIED
    UNMODIFIED REMOVED ABDOMEN ABDOMENPELVIS ADRENAL ANKLE AORTA ARM AXILLA BACK BLADDER BONE BRAIN BREAST
    BRONCHUS CHEST CHESTABDOMEN CHESTABDPELVIS CLAVICLE COLON CSPINE CTSPINE DUODENUM ELBOW ESOPHAGUS
    EXTREMITY EYE FEMUR FOOT GALLBLADDER HAND HEAD HEADNECK HEART HIP JAW JOINT KIDNEY KNEE LARYNX LEG
    LIVER LUNG LSPINE LSSPINE MEDIASTINUM NECK NECKCHEST NECKCHESTABDOMEN NECKCHESTABDPELV OVARY PANCREAS
    PELVIS PROSTATE RECTUM RIB SHOULDER SKULL SPINE SPLEEN SSPINE STERNUM STOMACH THIGH THORAX THYROID
    TRACHEA TSPINE TLSPINE UTERUS VAGINA WHOLEBODY WRIST CT_SEG RTSTRUCT MEASUREMENTS MEASUREMENT
    ANNOTATION ANNOTATIONS LESION LESIONS LAYER LAYER1 LAYER2 GRAPHIC STATE KEY MARKS SEGMENTATION 1410
    1411 1419 1420 1500 1501 1502 1600 2000 300 320 1204 4019 Z_DOM XYZ_EC ANGULAR FIXED_DELAY
    NONDESTRUCTIVE HYBRID DERIVED_AXIAL
    """.split()
)

# Convolution kernels as the makers name them: within any text, and where the attribute says it is a kernel.
KERNEL = re.compile(
    r"(?:[BHUTIJDS]|B[frlv]|H[crvp]|Qr|Sa|Ub|Tr|Hn|An)\d{2}[a-z]{0,2}|FC\d{2}|F\d{2}|IR\d{2,3}"
)
BARE_KERNEL = re.compile(r"[A-L]|E[ABC]|Y[ABCD]")

# Schemes whose codes are public, and what their values look like.
_DIGITS, _MIXED = r"\d{1,18}", r"[A-Z]{1,4}-?\d[\w.\-]{0,12}"
SCHEMES: dict[str, re.Pattern[str]] = {
    name: re.compile(pattern)
    for name, pattern in {
        "DCM": r"\d{4,6}",
        "SCT": r"\d{6,18}",
        "SRT": r"[A-Z]{1,2}-[0-9A-F]{3,6}",
        "SNM3": r"[A-Z]{1,2}-[0-9A-F]{3,6}",
        "99SDM": r"[A-Z]{1,2}-[0-9A-F]{3,6}",
        "LN": r"(LP)?\d{1,7}-\d",
        "FMA": _DIGITS,
        "RADLEX": r"RID\d{1,7}",
        "UBERON": _DIGITS,
        "NCIt": r"C\d{1,7}",
        "UMLS": r"C\d{7}",
        "IBSI": r"[0-9A-Z]{4}",
        "I10": r"[A-Z]\d{2}(\.\d{1,2})?",
        "ICD10": r"[A-Z]\d{2}(\.\d{1,2})?",
    }.items()
}
# Schemes of open viewers: their codes are names of tools, so their values pass as words.
TOOL_SCHEMES = frozenset(
    ("CORNERSTONEJS", "99dcmjs", "99DCMJS", "99QIICR", "99PMP", "99OHIF", "99LESIONGRAPH", "99_OFFIS_DCMTK")
)
UNITS = frozenset(
    """
    mm cm m um mm2 cm2 mm3 cm3 ml mL l 1 % deg rad s ms min h d a kg g mg {ratio} [hnsf'U] HU mGy Gy
    mGy.cm Bq/ml g/ml g/cm3 mg/ml {SUVbw}g/ml {SUVlbm}g/ml {SUVbsa}cm2/ml kV kVp mA mAs mm/s ml/min
    {pixels} {counts}
    """.split()
)
